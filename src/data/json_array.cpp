#include "json_array.h"

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

constexpr int64_t kWidestIndent = 1 << 14;  // columns

/// Follows strings and brackets through the bytes of one element.
class ElementEnd {
 public:
  /// True when the element ended before `byte`.
  bool ends_before(char byte) const {
    return !in_string_ && depth_ == 0 && (byte == ',' || byte == ']' || byte == '}');
  }
  /// Takes a byte; true when the element ends with it. A line end inside a string does: the parser will name
  /// the quote that is missing.
  bool ends_with(char byte) {
    if (in_string_) return take_in_string(byte);
    if (byte == '"') in_string_ = true;
    if (byte == '{' || byte == '[') ++depth_;
    return (byte == '}' || byte == ']') && --depth_ == 0;
  }

 private:
  bool take_in_string(char byte) {
    if (byte == '"' && !escaped_) in_string_ = false;
    escaped_ = byte == '\\' && !escaped_;
    return byte == '\n';
  }

  int64_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace

std::optional<JsonArray::Element> JsonArray::next() {
  stream_.skip_blanks();
  if (stream_.peek() == ']') {
    stream_.skip();
    stream_.skip_blanks();
    if (stream_.peek() != TextStream::kEnd) fail_unexpected("the end of the text after the array");
    return std::nullopt;
  }
  if (!is_first_) {
    if (stream_.peek() != ',') fail_unexpected("',' or ']'");
    stream_.skip();
    stream_.skip_blanks();
  }
  is_first_ = false;
  if (stream_.peek() == ']' || stream_.peek() == ',') fail_unexpected("a row");
  if (stream_.peek() == TextStream::kEnd) fail_unexpected("a row or ']'");
  return take_element();
}

JsonArray::Element JsonArray::take_element() {
  Element element{.text = {}, .line = stream_.line(), .shifted = stream_.column() > kWidestIndent};
  if (!element.shifted) element.text.assign(static_cast<size_t>(stream_.column() - 1), ' ');
  ElementEnd end;
  while (stream_.peek() != TextStream::kEnd) {
    const auto byte = static_cast<char>(stream_.peek());
    if (end.ends_before(byte)) break;
    element.text += byte;
    stream_.skip();
    if (end.ends_with(byte)) break;
    if (element.text.size() > TextStream::kLongestPart)
      fail(fmt::format("the row that begins in line {} has no end within {} MiB", element.line,
                       TextStream::kLongestPart >> 20));
  }
  return element;
}

void JsonArray::fail(const std::string& reason) const {
  throw DataError(fmt::format("{}:{}:{}: {}", stream_.name(), stream_.line(), stream_.column(), reason));
}

void JsonArray::fail_unexpected(const std::string& expected) {
  if (stream_.peek() == TextStream::kEnd) fail(fmt::format("the text ends too early; expected {}", expected));
  const int byte = stream_.peek();
  const bool is_printable = 0x20 < byte && byte < 0x7F;
  fail(fmt::format(
      "unexpected byte {}; expected {}",
      is_printable ? fmt::format("'{}'", static_cast<char>(byte)) : fmt::format("0x{:02X}", byte), expected));
}

}  // namespace excitor
