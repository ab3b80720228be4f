#include <excitor/util/utf8.h>

#include <cstdint>
#include <cstring>

namespace excitor {
namespace {

/// The character that begins at some offset, by the Unicode Standard's table 3-7.
struct Character {
  size_t length;  ///< bytes its first byte announces; 0 when no character begins with that byte
  size_t valid;   ///< how many of them are there and right
};

/// What the byte after the first must lie in. It alone keeps out overlong forms, surrogates and what is past
/// U+10FFFF.
struct SecondByte {
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
};

size_t announced_length(uint8_t first) {
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;
  if (first < 0xE0) return 2;
  if (first < 0xF0) return 3;
  return first < 0xF5 ? 4 : 0;
}

SecondByte second_byte_after(uint8_t first) {
  switch (first) {
    case 0xE0:
      return {.low = 0xA0};
    case 0xED:
      return {.high = 0x9F};
    case 0xF0:
      return {.low = 0x90};
    case 0xF4:
      return {.high = 0x8F};
    default:
      return {};
  }
}

Character character_at(std::string_view text, size_t offset) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[offset + i]); };
  const size_t length = announced_length(byte(0));
  if (length == 0) return {0, 0};
  const auto [low, high] = second_byte_after(byte(0));
  size_t valid = 1;
  while (valid < length && offset + valid < text.size()) {
    const bool fits = valid == 1 ? low <= byte(1) && byte(1) <= high : (byte(valid) & 0xC0) == 0x80;
    if (!fits) break;
    ++valid;
  }
  return {length, valid};
}

/// Skips ASCII eight bytes at a time: most texts are mostly that.
size_t skip_ascii(std::string_view text, size_t offset) {
  uint64_t word = 0;
  while (offset + sizeof word <= text.size()) {
    std::memcpy(&word, text.data() + offset, sizeof word);
    if (word & 0x8080808080808080ull) break;
    offset += sizeof word;
  }
  return offset;
}

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  size_t offset = 0;
  while ((offset = skip_ascii(text, offset)) < text.size()) {
    const auto [length, valid] = character_at(text, offset);
    if (length == 0 || valid < length) return offset;
    offset += length;
  }
  return std::string_view::npos;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string replaced;
  for (size_t invalid = 0; (invalid = find_invalid_utf8(text)) != text.npos;) {
    replaced.append(text.substr(0, invalid)).append("\xEF\xBF\xBD");
    const auto [length, valid] = character_at(text, invalid);
    text.remove_prefix(invalid + (length == 0 ? 1 : valid));
  }
  return replaced.append(text);
}

size_t complete_utf8_prefix(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t offset = text.size() - back;
    const auto [length, valid] = character_at(text, offset);
    if (length == 0) continue;  // a continuation byte (or no UTF-8 at all): its character begins further left
    return valid < length && valid == back ? offset : text.size();
  }
  return text.size();
}

void append_utf8(std::string& to, char32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    to += static_cast<char>(c);
  } else if (c < 0x800) {
    to += {static_cast<char>(0xC0 | (c >> 6)), tail(0)};
  } else if (c < 0x10000) {
    to += {static_cast<char>(0xE0 | (c >> 12)), tail(6), tail(0)};
  } else {
    to += {static_cast<char>(0xF0 | (c >> 18)), tail(12), tail(6), tail(0)};
  }
}

}  // namespace excitor
