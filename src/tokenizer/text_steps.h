// What happens to a text before BPE: it is changed (normalisation) and split into words that no token crosses
// (pre-tokenisation). The steps of Hugging Face's tokenizer.json, as far as LLaMA's tokenizers use them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <excitor/util/regex.h>

namespace excitor {

/// Puts `text` in front of every text that is not empty.
struct Prepend {
  std::string text;
};

/// Replaces every `from` by `to`.
struct Replace {
  std::string from;
  std::string to;
};

/// Puts `text` in front of a piece that does not begin with it already.
struct PrependOnce {
  std::string text;
  bool only_at_start = false;  ///< only of the piece that the whole text begins with
};

/// Splits at the matches: each match and each stretch between two is a piece ("Isolated").
struct SplitIsolated {
  Regex expression;
};

/// Splits in front of every `symbol` ("MergedWithNext"); with `first_of_run` only where another character
/// stands before it.
struct SplitBefore {
  std::string symbol;
  bool first_of_run = false;
};

using TextStep = std::variant<Prepend, Replace, PrependOnce, SplitIsolated, SplitBefore>;

/// Part of a text.
struct Stretch {
  std::string_view text;
  bool at_start = true;  ///< the whole text begins with it
};

/// Passes a stretch through all steps and visits the pieces that come out, in their order.
void for_each_piece(const Stretch& stretch, const std::vector<TextStep>& steps,
                    const std::function<void(std::string_view)>& visit);

/// What a text becomes by steps that do not split (a normalizer).
std::string apply_steps(std::string_view text, const std::vector<TextStep>& steps);

/// A pattern of tokenizer.json or tiktoken. Their \s is Unicode's White_Space; PCRE2's has U+180E too.
Regex compile_split_pattern(std::string_view pattern);

}  // namespace excitor
