#include "answer_stream.h"

#include <algorithm>

#include <excitor/util/utf8.h>

namespace excitor {
namespace {

/// Length of the longest end of `text` that is a beginning of `stop`.
size_t overlap(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size()); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return n;
  }
  return 0;
}

/// What decoders put where bytes form no character (yet).
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

bool AnswerStream::update(std::string text) {
  text_ = std::move(text);
  size_t cut = std::string::npos;
  for (const std::string& stop : stop_) {
    if (!stop.empty()) cut = std::min(cut, text_.find(stop));
  }
  stopped_ = cut != std::string::npos;
  if (stopped_) text_.resize(cut);
  show_until(stopped_ ? text_.size() : settled());
  return stopped_;
}

void AnswerStream::finish() {
  show_until(text_.size());
}

size_t AnswerStream::settled() const {
  size_t held = 0;
  for (const std::string& stop : stop_) held = std::max(held, overlap(text_, stop));
  size_t end = text_.size() - held;
  while (std::string_view(text_).substr(0, end).ends_with(kReplacement)) end -= kReplacement.size();
  return complete_utf8_prefix(std::string_view(text_).substr(0, end));
}

void AnswerStream::show_until(size_t end) {
  if (!sink_ || end <= shown_) return;
  sink_(std::string_view(text_).substr(shown_, end - shown_));
  shown_ = end;
}

}  // namespace excitor
