// The parser behind parse_json.
//
// Why not nlohmann's: it keeps the last of duplicate keys without a word, takes a zero byte for the end of
// the text, looks through all keys of an ordered object at each insertion (a tokenizer's vocabulary has
// 128,000), and its events carry no place in the text, so that only its own errors could name one.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

namespace excitor {

/// Recursive descent over RFC 8259's grammar. The text must be valid UTF-8.
class JsonParser {
 public:
  JsonParser(std::string_view text, const std::string& name, JsonDialect dialect, size_t first_line)
      : text_(text), name_(name), dialect_(dialect), first_line_(first_line) {}

  /// The one value of the text.
  Json document();

  /// Throws ConfigError "name:line:column: reason".
  [[noreturn]] void fail(size_t offset, const std::string& reason) const;

 private:
  using Members = std::vector<std::pair<std::string, Json>>;
  using KeyOffsets = std::unordered_map<std::string, size_t>;

  Json value(size_t depth);
  Json object(size_t depth);
  Json array(size_t depth);
  Json number();
  Json word();
  std::string string();
  std::string key(KeyOffsets& seen);

  void append_escaped(std::string& to);
  uint32_t code_unit();
  void check_depth(size_t depth) const;

  void skip_space();
  void skip_comment();
  bool take_digits();
  bool take(char c);
  void expect(char c, std::string_view expected);
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }

  /// The letters, digits and signs from here on: what was meant as a number or a word.
  std::string_view rest_of_word() const;
  size_t line_of(size_t offset) const;
  [[noreturn]] void fail_unexpected(std::string_view expected) const;

  std::string_view text_;
  const std::string& name_;
  JsonDialect dialect_;
  size_t first_line_;  ///< the number of the text's first line in messages
  size_t at_ = 0;      ///< offset of the next byte
};

}  // namespace excitor
