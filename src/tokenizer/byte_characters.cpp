#include "byte_characters.h"

#include <array>
#include <cstdint>

namespace excitor {
namespace {

constexpr int kCharacters = 0x100 + 68;  // the last is U+0143

bool is_printable_latin(int byte) {
  return ('!' <= byte && byte <= '~') || (0xA1 <= byte && byte <= 0xAC) || (0xAE <= byte && byte <= 0xFF);
}

/// Printable bytes are the characters of their number; the others follow from U+0100 on, in their order.
struct ByteTable {
  std::array<uint16_t, 256> character{};
  std::array<int16_t, kCharacters> byte{};

  ByteTable() {
    byte.fill(-1);
    int next = 0x100;
    for (int b = 0; b < 256; ++b) {
      character[static_cast<size_t>(b)] = static_cast<uint16_t>(is_printable_latin(b) ? b : next++);
      byte[character[static_cast<size_t>(b)]] = static_cast<int16_t>(b);
    }
  }
};

const ByteTable& table() {
  static const ByteTable kTable;
  return kTable;
}

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  for (const char b : bytes) {
    const uint16_t c = table().character[static_cast<unsigned char>(b)];
    if (c < 0x80) {
      spelling += static_cast<char>(c);
    } else {  // all are below U+0800
      spelling += static_cast<char>(0xC0 | (c >> 6));
      spelling += static_cast<char>(0x80 | (c & 0x3F));
    }
  }
  return spelling;
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  for (size_t i = 0; i < spelling.size(); ++i) {
    int c = static_cast<unsigned char>(spelling[i]);
    if (c >= 0xE0) return std::nullopt;  // beyond U+07FF
    if (c >= 0x80) {
      if (++i == spelling.size()) return std::nullopt;
      c = ((c & 0x1F) << 6) | (static_cast<unsigned char>(spelling[i]) & 0x3F);
    }
    const int byte = c < kCharacters ? table().byte[static_cast<size_t>(c)] : -1;
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

}  // namespace excitor
