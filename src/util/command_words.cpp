#include <excitor/util/command_words.h>

#include <cstring>

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

/// Splits one command; see split_words().
class WordSplitter {
 public:
  explicit WordSplitter(const std::string& text) : text_(text) {}

  std::vector<std::string> split() {
    for (at_ = 0; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\'' || c == '"')
        take_quoted(c);
      else if (c == '\\')
        take_escaped();
      else if (std::strchr(" \t\r\n", c))
        end_word();
      else
        take(c);
    }
    end_word();
    return std::move(words_);
  }

 private:
  void take(char c) {
    word_ += c;
    inside_ = true;
  }
  void end_word() {
    if (inside_) words_.push_back(std::move(word_));
    word_.clear();
    inside_ = false;
  }
  void take_escaped() {
    if (++at_ == text_.size()) fail("ends with a backslash");
    take(text_[at_]);
  }
  void take_quoted(char quote) {
    inside_ = true;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      const bool escapes = quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size() &&
                           std::strchr("\"\\$`", text_[at_ + 1]);
      if (escapes) ++at_;
      take(text_[at_]);
    }
    if (at_ == text_.size()) fail(fmt::format("has a {} without its end", quote));
  }
  [[noreturn]] void fail(const std::string& reason) const {
    throw UsageError(fmt::format("the command {} {}", text_, reason));
  }

  const std::string& text_;
  size_t at_ = 0;
  std::vector<std::string> words_;
  std::string word_;
  bool inside_ = false;
};

}  // namespace

std::vector<std::string> split_words(const std::string& command) {
  return WordSplitter(command).split();
}

}  // namespace excitor
