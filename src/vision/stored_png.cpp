#include "stored_png.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include <libdeflate.h>

namespace excitor {
namespace {

constexpr size_t kSignature = 8;
constexpr size_t kFrame = 12;            ///< of a chunk: length, type, checksum
constexpr size_t kMostInBlock = 0xffff;  ///< bytes of a stored block of deflate (RFC 1951, 3.2.4)
constexpr size_t kBlockHeader = 5;
constexpr size_t kMostStored = 64 << 20;  ///< bytes of rows, which lie in memory twice on the way

struct Chunk {
  std::string_view type;
  std::span<const std::byte> data;
  std::span<const std::byte> whole;  ///< with its frame
};

uint32_t big_endian(const std::byte* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<uint32_t>(bytes[i]);
  return value;
}

/// The chunk at the beginning of `rest`; nothing when it ends early or its checksum is another.
std::optional<Chunk> read_chunk(std::span<const std::byte> rest) {
  if (rest.size() < kFrame || big_endian(rest.data()) > rest.size() - kFrame) return std::nullopt;
  const size_t length = big_endian(rest.data());
  const std::byte* type = rest.data() + 4;
  if (libdeflate_crc32(0, type, 4 + length) != big_endian(type + 4 + length)) return std::nullopt;
  return Chunk{.type = {reinterpret_cast<const char*>(type), 4},
               .data = rest.subspan(8, length),
               .whole = rest.first(length + kFrame)};
}

/// A PNG's chunks in three parts.
struct Parts {
  std::vector<std::byte> before, pixels, behind;  ///< `pixels`: the data of the IDATs, zlib's format
};

void append(std::vector<std::byte>& target, std::span<const std::byte> bytes) {
  target.insert(target.end(), bytes.begin(), bytes.end());
}

std::optional<Parts> read_parts(std::span<const std::byte> content) {
  if (content.size() < kSignature) return std::nullopt;
  Parts parts;
  bool has_pixels = false;
  append(parts.before, content.first(kSignature));
  for (std::span<const std::byte> rest = content.subspan(kSignature);;) {
    const std::optional<Chunk> chunk = read_chunk(rest);
    if (!chunk) return std::nullopt;
    if (chunk->type == "IDAT") {
      if (!parts.behind.empty()) return std::nullopt;  // the IDATs must follow one another
      has_pixels = true;
      append(parts.pixels, chunk->data);
    } else {
      append(has_pixels ? parts.behind : parts.before, chunk->whole);
    }
    if (chunk->type == "IEND") return parts;
    rest = rest.subspan(chunk->whole.size());
  }
}

/// What zlib's stream holds, when that is `size` bytes.
std::optional<std::vector<std::byte>> inflate(std::span<const std::byte> stream, size_t size) {
  const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> decompressor(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (!decompressor) return std::nullopt;
  std::vector<std::byte> bytes(size);
  size_t read = 0;
  if (libdeflate_zlib_decompress_ex(decompressor.get(), stream.data(), stream.size(), bytes.data(), size,
                                    &read, nullptr) != LIBDEFLATE_SUCCESS ||
      read != stream.size())
    return std::nullopt;
  return bytes;
}

std::byte* put(std::byte* target, std::initializer_list<unsigned> bytes) {
  for (const unsigned byte : bytes) *target++ = static_cast<std::byte>(byte);
  return target;
}

std::byte* put_big_endian(std::byte* target, size_t value) {
  return put(target, {static_cast<unsigned>(value >> 24 & 0xff), static_cast<unsigned>(value >> 16 & 0xff),
                      static_cast<unsigned>(value >> 8 & 0xff), static_cast<unsigned>(value & 0xff)});
}

/// An IDAT of `bytes` in stored blocks. Adler's checksum and the chunk's are left zero.
void append_idat(std::vector<std::byte>& png, std::span<const std::byte> bytes) {
  const size_t blocks = (bytes.size() + kMostInBlock - 1) / kMostInBlock;
  const size_t length = 2 + blocks * kBlockHeader + bytes.size() + 4;
  const size_t begin = png.size();
  png.resize(begin + kFrame + length);
  std::byte* target = put_big_endian(png.data() + begin, length);
  target = put(target, {'I', 'D', 'A', 'T', 0x78, 0x01});
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kMostInBlock);
    const auto low = static_cast<unsigned>(size & 0xff), high = static_cast<unsigned>(size >> 8);
    target = put(target, {size == bytes.size() ? 1u : 0u, low, high, ~low & 0xff, ~high & 0xff});
    std::memcpy(target, bytes.data(), size);
    target += size;
    bytes = bytes.subspan(size);
  }
}

}  // namespace

std::optional<std::vector<std::byte>> store_pixels(std::span<const std::byte> content,
                                                   size_t filtered_bytes) {
  if (filtered_bytes == 0 || filtered_bytes > kMostStored) return std::nullopt;
  std::optional<Parts> parts = read_parts(content);
  if (!parts) return std::nullopt;
  const auto rows = inflate(parts->pixels, filtered_bytes);
  if (!rows) return std::nullopt;
  std::vector<std::byte> png = std::move(parts->before);
  append_idat(png, *rows);
  append(png, parts->behind);
  return png;
}

}  // namespace excitor
