#include <excitor/train/tensorboard.h>

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

/// CRC-32C (Castagnoli), reflected polynomial 0x82F63B78.
uint32_t crc32c(std::string_view data) {
  static const auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < table.size(); ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78u : 0u);
      table[i] = value;
    }
    return table;
  }();
  uint32_t crc = ~0u;
  for (const unsigned char byte : data) crc = kTable[(crc ^ byte) & 0xff] ^ (crc >> 8);
  return ~crc;
}

/// TFRecord's mask, which keeps a CRC of data that holds CRCs from being weak.
uint32_t masked_crc(std::string_view data) {
  return std::rotr(crc32c(data), 15) + 0xa282ead8u;
}

/// The bytes of a number as the formats hold it: little-endian, which is this machine's order.
template <class T>
std::string bytes_of(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

// Protocol buffer fields: key = number << 3 | wire type (0 varint, 1 fixed 64, 2 length-delimited, 5 fixed
// 32).
std::string delimited(int number, std::string_view content) {
  return varint(number << 3 | 2) + varint(content.size()) + std::string(content);
}

std::string wall_time_field(double wall_time) {
  return varint(1 << 3 | 1) + bytes_of(wall_time);
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

std::string tensorboard_record(std::string_view data) {
  const std::string length = bytes_of(static_cast<uint64_t>(data.size()));
  return length + bytes_of(masked_crc(length)) + std::string(data) + bytes_of(masked_crc(data));
}

std::string tensorboard_version_event(double wall_time) {
  return wall_time_field(wall_time) + delimited(3, "brain.Event:2");
}

std::string tensorboard_scalar_event(double wall_time, int64_t step, std::string_view tag, float value) {
  const std::string scalar = delimited(1, tag) + varint(2 << 3 | 5) + bytes_of(value);  // Summary.Value
  return wall_time_field(wall_time) + varint(2 << 3 | 0) + varint(static_cast<uint64_t>(step)) +
         delimited(5, delimited(1, scalar));
}

TensorBoardFile::TensorBoardFile(const std::filesystem::path& folder) {
  const double now = seconds_since_1970();
  path_ = folder /
          fmt::format("events.out.tfevents.{:010}.{}.{}", static_cast<int64_t>(now), host_name(), getpid());
  stream_.open(path_, std::ios::binary | std::ios::app);
  append(tensorboard_version_event(now));
}

void TensorBoardFile::scalar(std::string_view tag, int64_t step, double value) {
  append(tensorboard_scalar_event(seconds_since_1970(), step, tag, static_cast<float>(value)));
}

void TensorBoardFile::append(const std::string& event) {
  const std::string record = tensorboard_record(event);
  if (!stream_.write(record.data(), static_cast<std::streamsize>(record.size())).flush()) {
    throw IoError(fmt::format("{}: cannot write: {}", path_.string(), std::strerror(errno)));
  }
}

}  // namespace excitor
