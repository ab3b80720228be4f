#include "json_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <optional>

#include <fmt/core.h>

#include <excitor/util/error.h>
#include <excitor/util/utf8.h>

namespace excitor {
namespace {

constexpr size_t kMaximumDepth = 200;

bool is_digit(char c) {
  return '0' <= c && c <= '9';
}

bool is_word_character(char c) {
  return is_digit(c) || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_' || c == '+' ||
         c == '-' || c == '.';
}

/// An integer of 64 bits, or nothing: nlohmann's rule is signed where negative, else unsigned.
std::optional<Json> parse_integer(std::string_view text) {
  const auto parse_as = [text](auto integer) -> std::optional<Json> {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), integer);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return Json(integer);
  };
  return text.starts_with('-') ? parse_as(int64_t{}) : parse_as(uint64_t{});
}

/// The nearest double; infinite for 1e999.
double parse_double(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() ? number
                              : std::strtod(std::string(text).c_str(), nullptr);  // too large, or too small
}

/// What to say about a word that is no JSON value.
std::string bad_word_reason(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kMeant{
      {{"NaN", "null or a number"},
       {"Infinity", "a finite number"},
       {"-Infinity", "a finite number"},
       {"nan", "null or a number"},
       {"inf", "a finite number"},
       {"-inf", "a finite number"},
       {"True", "true"},
       {"False", "false"},
       {"None", "null"}}};
  for (const auto& [text, instead] : kMeant) {
    if (word == text) return fmt::format("{} is not JSON; write {}", word, instead);
  }
  if (is_digit(word[0]) || word[0] == '-' || word[0] == '+' || word[0] == '.') {
    return fmt::format("{} is not a JSON number", word.substr(0, 40));
  }
  return fmt::format("{} is not a JSON value; a string stands in double quotes", word.substr(0, 40));
}

}  // namespace

Json JsonParser::document() {
  skip_space();
  if (at_end()) fail(0, "empty; expected a JSON value");
  Json result = value(0);
  skip_space();
  if (!at_end()) fail_unexpected("the end of the text");
  return result;
}

Json JsonParser::value(size_t depth) {
  const char c = peek();
  if (c == '{') return object(depth + 1);
  if (c == '[') return array(depth + 1);
  if (c == '"') return string();
  if (c == '-' || is_digit(c)) return number();
  if (is_word_character(c)) return word();
  fail_unexpected("a value");
}

Json JsonParser::object(size_t depth) {
  check_depth(depth);
  Members members;
  KeyOffsets seen;
  take('{');
  skip_space();
  if (take('}')) return Json::object();
  do {
    skip_space();
    std::string name = key(seen);
    skip_space();
    expect(':', "':'");
    skip_space();
    members.emplace_back(std::move(name), value(depth));
    skip_space();
  } while (take(','));
  expect('}', "',' or '}'");
  return Json::object_t(std::make_move_iterator(members.begin()), std::make_move_iterator(members.end()));
}

Json JsonParser::array(size_t depth) {
  check_depth(depth);
  Json::array_t elements;
  take('[');
  skip_space();
  if (take(']')) return Json::array();
  do {
    skip_space();
    elements.push_back(value(depth));
    skip_space();
  } while (take(','));
  expect(']', "',' or ']'");
  return elements;
}

std::string JsonParser::key(KeyOffsets& seen) {
  const size_t offset = at_;
  if (peek() != '"') fail_unexpected("a key in double quotes");
  std::string name = string();
  const auto [first, is_new] = seen.try_emplace(name, offset);
  if (!is_new) {
    fail(offset, fmt::format("the key \"{}\" stands twice in one object (first in line {})", name,
                             line_of(first->second)));
  }
  return name;
}

Json JsonParser::number() {
  const size_t start = at_;
  const std::string_view whole = rest_of_word();
  take('-');
  bool is_valid = take('0') || take_digits();  // no digit may follow a leading 0
  const size_t integer_end = at_;
  if (take('.')) is_valid = take_digits() && is_valid;
  if (take('e') || take('E')) {
    if (!take('+')) take('-');
    is_valid = take_digits() && is_valid;
  }
  const std::string_view text = text_.substr(start, at_ - start);
  if (!is_valid || text.size() != whole.size()) fail(start, bad_word_reason(whole));
  const bool is_integer = at_ == integer_end;
  if (const auto integer = is_integer ? parse_integer(text) : std::nullopt) return *integer;
  const double number = parse_double(text);
  if (!std::isfinite(number))
    fail(start, fmt::format("the number {} is too large for a double", text.substr(0, 40)));
  return number;
}

Json JsonParser::word() {
  const std::string_view text = rest_of_word();
  const size_t start = at_;
  at_ += text.size();
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "null") return nullptr;
  fail(start, bad_word_reason(text));
}

std::string JsonParser::string() {
  const size_t start = at_;
  std::string result;
  take('"');
  for (;;) {
    size_t end = at_;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
           static_cast<unsigned char>(text_[end]) >= 0x20)
      ++end;
    result.append(text_, at_, end - at_);
    at_ = end;
    if (take('"')) return result;
    if (at_end()) fail(start, "this string has no closing quote");
    if (peek() == '\n')
      fail(at_, "a line ends inside a string; a quote is missing, or \\n instead of the line end");
    if (!take('\\'))
      fail(at_, fmt::format("a control character inside a string must be written \\u{:04x}", peek()));
    append_escaped(result);
  }
}

/// After a backslash.
void JsonParser::append_escaped(std::string& to) {
  static constexpr std::string_view kEscapes = "\"\\/bfnrt";
  static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const size_t start = at_ - 1;
  const size_t simple = at_end() ? std::string_view::npos : kEscapes.find(peek());
  if (simple != std::string_view::npos) {
    to += kMeanings[simple];
    ++at_;
    return;
  }
  if (!take('u')) fail(start, "an unknown escape; a backslash itself is written \\\\");
  uint32_t c = code_unit();
  if (0xD800 <= c && c <= 0xDBFF && take('\\') && take('u')) {
    const uint32_t low = code_unit();
    const bool is_pair = 0xDC00 <= low && low <= 0xDFFF;
    if (is_pair) c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
  }
  if (0xD800 <= c && c <= 0xDFFF) fail(start, "half of a surrogate pair is not a character");
  append_utf8(to, c);
}

/// The four hexadecimal digits of an escape.
uint32_t JsonParser::code_unit() {
  const std::string_view digits = text_.substr(at_, 4);
  uint32_t unit = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
  if (error != std::errc() || end != digits.data() + 4) fail(at_ - 2, "\\u wants four hexadecimal digits");
  at_ += 4;
  return unit;
}

void JsonParser::check_depth(size_t depth) const {
  if (depth > kMaximumDepth) fail(at_, fmt::format("nested deeper than {} levels", kMaximumDepth));
}

void JsonParser::skip_space() {
  for (;;) {
    const size_t next = text_.find_first_not_of(" \t\r\n", at_);
    at_ = std::min(next, text_.size());
    if (peek() != '/') return;
    skip_comment();
  }
}

void JsonParser::skip_comment() {
  const std::string_view start = text_.substr(at_, 2);
  if (dialect_ == JsonDialect::strict) fail(at_, "a comment is not allowed here");
  if (start != "//" && start != "/*") fail_unexpected("// or /*");
  const bool is_line = start == "//";
  const size_t end = is_line ? text_.find('\n', at_) : text_.find("*/", at_ + 2);
  if (!is_line && end == std::string_view::npos) fail(at_, "this comment has no end");
  at_ = is_line ? std::min(end, text_.size()) : end + 2;
}

bool JsonParser::take_digits() {
  const size_t start = at_;
  while (is_digit(peek())) ++at_;
  return at_ > start;
}

bool JsonParser::take(char c) {
  if (at_end() || text_[at_] != c) return false;
  ++at_;
  return true;
}

void JsonParser::expect(char c, std::string_view expected) {
  if (!take(c)) fail_unexpected(expected);
}

std::string_view JsonParser::rest_of_word() const {
  size_t end = at_;
  while (end < text_.size() && is_word_character(text_[end])) ++end;
  return text_.substr(at_, end - at_);
}

size_t JsonParser::line_of(size_t offset) const {
  const std::string_view before = text_.substr(0, offset);
  return first_line_ + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
}

void JsonParser::fail(size_t offset, const std::string& reason) const {
  const std::string_view before = text_.substr(0, offset);
  const std::string_view line = before.substr(before.rfind('\n') + 1);  // npos + 1 is 0
  const auto is_first_byte = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  const auto characters = std::count_if(line.begin(), line.end(), is_first_byte);
  throw ConfigError(fmt::format("{}:{}:{}: {}", name_, line_of(offset), characters + 1, reason));
}

void JsonParser::fail_unexpected(std::string_view expected) const {
  if (at_end()) fail(at_, fmt::format("the text ends too early; expected {}", expected));
  if (peek() == '\'') fail(at_, "a string stands in double quotes, not in single ones");
  if (peek() == '#') fail(at_, "'#' begins no comment in JSON");
  if (peek() == '"') fail(at_, fmt::format("unexpected string; expected {}", expected));
  const std::string_view word = rest_of_word();
  if (!word.empty()) fail(at_, fmt::format("unexpected {}; expected {}", word.substr(0, 40), expected));
  size_t end = at_ + 1;  // one character, whatever its length in UTF-8
  while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xC0) == 0x80) ++end;
  fail(at_, fmt::format("unexpected '{}'; expected {}", text_.substr(at_, end - at_), expected));
}

}  // namespace excitor
