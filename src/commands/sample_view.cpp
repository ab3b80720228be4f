#include "sample_view.h"

namespace excitor {

std::string render_sample(const Example& example, const Tokenizer& tokenizer, bool color) {
  const std::string begin = color ? "\x1b[32m" : "»", end = color ? "\x1b[0m" : "«";
  std::string text;
  for (int64_t t = 0; t < example.tokens(); ++t) {
    const bool label = example.supervised[t] != 0;
    const bool was_label = t > 0 && example.supervised[t - 1] != 0;
    if (!label && was_label) text += end;
    if (t > 0) text += "·";
    if (label && !was_label) text += begin;
    text += tokenizer.piece(example.ids[t]);
  }
  const bool ends_in_label = !example.supervised.empty() && example.supervised.back() != 0;
  return ends_in_label ? text + end : text;
}

}  // namespace excitor
