// Builds torch files byte by byte, so that tests can damage them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace excitor::test {

/// Little-endian bytes of an unsigned number.
inline std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += i < 8 ? static_cast<char>(value >> (8 * i)) : '\0';
  return text;
}

/// CRC-32 bit by bit.
inline uint32_t slow_crc32(std::string_view text) {
  uint32_t crc = 0xffffffff;
  for (const unsigned char byte : text) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
  }
  return ~crc;
}

/// One entry; the fields beside name and data overwrite what would be right.
struct ZipPart {
  std::string name, data;
  int64_t crc = -1, listed_bytes = -1, offset = -1;
  uint16_t method = 0, flags = 0;
};

/// A zip archive of stored entries; `zip64` writes every number of the directory in its 64-bit form.
inline std::string zip_bytes(const std::vector<ZipPart>& parts, bool zip64 = false) {
  std::string bytes, directory;
  for (const ZipPart& part : parts) {
    const uint64_t offset = part.offset < 0 ? bytes.size() : static_cast<uint64_t>(part.offset);
    const uint64_t listed =
        part.listed_bytes < 0 ? part.data.size() : static_cast<uint64_t>(part.listed_bytes);
    const std::string common =
        number(part.flags, 2) + number(part.method, 2) + number(0, 4) +
        number(part.crc < 0 ? slow_crc32(part.data) : static_cast<uint64_t>(part.crc), 4);
    bytes += "PK\x03\x04" + number(20, 2) + common + number(part.data.size(), 4) +
             number(part.data.size(), 4) + number(part.name.size(), 2) + number(0, 2) + part.name + part.data;
    const std::string extra =
        zip64 ? number(1, 2) + number(24, 2) + number(listed, 8) + number(listed, 8) + number(offset, 8) : "";
    const uint64_t small = zip64 ? 0xffffffff : listed;
    directory += "PK\x01\x02" + number(20, 2) + number(20, 2) + common + number(small, 4) + number(small, 4) +
                 number(part.name.size(), 2) + number(extra.size(), 2) + number(0, 10) +
                 number(zip64 ? 0xffffffff : offset, 4) + part.name + extra;
  }
  const uint64_t begin = bytes.size(), count = parts.size();
  bytes += directory;
  if (zip64) {
    const uint64_t record = bytes.size();
    bytes += "PK\x06\x06" + number(44, 8) + number(45, 2) + number(45, 2) + number(0, 8) + number(count, 8) +
             number(count, 8) + number(directory.size(), 8) + number(begin, 8);
    bytes += "PK\x06\x07" + number(0, 4) + number(record, 8) + number(1, 4);
  }
  bytes += "PK\x05\x06" + number(0, 4) + number(zip64 ? 0xffff : count, 2) +
           number(zip64 ? 0xffff : count, 2) + number(zip64 ? 0xffffffff : directory.size(), 4) +
           number(zip64 ? 0xffffffff : begin, 4) + number(0, 2);
  return bytes;
}

// Pieces of pickles

inline std::string pickle(const std::string& operations) {
  return "\x80\x02" + operations + ".";
}

inline std::string text(std::string_view value) {
  return "X" + number(value.size(), 4) + std::string(value);
}

inline std::string integer(int64_t value) {
  return "\x8a\x08" + number(static_cast<uint64_t>(value), 8);
}

inline std::string integers(const std::vector<int64_t>& values) {
  std::string tuple = "(";
  for (const int64_t value : values) tuple += integer(value);
  return tuple + "t";
}

/// What describes a tensor of a float storage "0".
struct TensorPickle {
  std::string storage_type = "FloatStorage";
  int64_t count = 6;
  int64_t offset = 0;
  std::vector<int64_t> sizes{2, 3}, strides{3, 1};
};

inline std::string tensor(const TensorPickle& t = {}) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + t.storage_type + "\n" +
         text("0") + text("cpu") + integer(t.count) + "tQ" + integer(t.offset) + integers(t.sizes) +
         integers(t.strides) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

/// Six floats: 0, 1, 2, 3, 4, 5.
inline std::string six_floats() {
  std::string bytes;
  for (const float value : {0.F, 1.F, 2.F, 3.F, 4.F, 5.F}) {
    std::string four(4, '\0');
    std::memcpy(four.data(), &value, 4);
    bytes += four;
  }
  return bytes;
}

inline std::vector<ZipPart> torch_parts(const std::string& operations) {
  return {{"a/data.pkl", pickle(operations)}, {"a/byteorder", "little"}, {"a/data/0", six_floats()}};
}

inline std::string torch_bytes(const std::string& operations) {
  return zip_bytes(torch_parts(operations));
}

}  // namespace excitor::test
