// The text of an answer while its tokens arrive: what may be shown already, and where a stop string ends it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <excitor/generate/generate.h>

namespace excitor {

class AnswerStream {
 public:
  AnswerStream(const std::vector<std::string>& stop, TextSink sink) : stop_(stop), sink_(std::move(sink)) {}

  /// Takes the whole text so far. Returns true when a stop string has appeared.
  bool update(std::string text);
  /// Shows what was held back, unless a stop string ended the text.
  void finish();
  /// The text, cut at the stop string.
  const std::string& text() const { return text_; }

 private:
  /// Bytes that no stop string and no unfinished character can change any more.
  size_t settled() const;
  void show_until(size_t end);

  std::vector<std::string> stop_;
  TextSink sink_;
  std::string text_;
  size_t shown_ = 0;
  bool stopped_ = false;
};

}  // namespace excitor
