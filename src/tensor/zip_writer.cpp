// Layout: PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.
#include "zip_writer.h"

#include <algorithm>
#include <concepts>

#include "crc32.h"

namespace excitor {
namespace {

constexpr uint64_t kLimit32 = 0xffffffff, kLimit16 = 0xffff;
constexpr uint16_t kVersion = 20, kVersionOfZip64 = 45;
constexpr uint16_t kUtf8Names = 0x0800;
constexpr uint16_t kZip64Field = 1, kPaddingField = 0x4246;  // "FB", as torch pads
constexpr uint16_t kDate = 0x21;                             // 1980-01-01: equal values give equal files
constexpr uint64_t kLocalHeaderBytes = 30, kFieldHeaderBytes = 4;

template <std::unsigned_integral T>
void append(std::string& bytes, T value) {
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i));
}

uint32_t low32(uint64_t value) {
  return static_cast<uint32_t>(std::min(value, kLimit32));
}

uint16_t low16(uint64_t value) {
  return static_cast<uint16_t>(std::min(value, kLimit16));
}

/// The zip64 field with those of `values` that do not fit 32 bits; empty when all do.
std::string zip64_field(std::initializer_list<uint64_t> values) {
  std::string content;
  for (const uint64_t value : values) {
    if (value >= kLimit32) append(content, value);
  }
  if (content.empty()) return "";
  std::string field;
  append(field, kZip64Field);
  append(field, static_cast<uint16_t>(content.size()));
  return field + content;
}

/// A field that makes the data of an entry begin at a multiple of the alignment.
std::string padding_field(uint64_t data_begin) {
  const uint64_t least = data_begin + kFieldHeaderBytes;
  const uint64_t padding = (ZipWriter::kAlignment - least % ZipWriter::kAlignment) % ZipWriter::kAlignment;
  std::string field;
  append(field, kPaddingField);
  append(field, static_cast<uint16_t>(padding));
  return field + std::string(padding, 'Z');
}

/// What local header and directory entry share: version, flags, method, time, date, crc, sizes, name length.
std::string common_part(uint64_t bytes, uint32_t crc, size_t name_bytes, bool zip64) {
  std::string part;
  append(part, zip64 ? kVersionOfZip64 : kVersion);
  append(part, kUtf8Names);
  append(part, uint16_t{0});
  append(part, uint16_t{0});
  append(part, kDate);
  append(part, crc);
  append(part, low32(bytes));
  append(part, low32(bytes));
  append(part, static_cast<uint16_t>(name_bytes));
  return part;
}

}  // namespace

void ZipWriter::write(const std::string& bytes) {
  file_.write(std::string_view(bytes));
  written_ += bytes.size();
}

void ZipWriter::add(const std::string& name, std::span<const std::byte> data) {
  const Entry entry{.name = name, .header = written_, .bytes = data.size(), .crc = crc32(data)};
  std::string extra = zip64_field({entry.bytes, entry.bytes});
  const bool zip64 = !extra.empty();
  extra += padding_field(written_ + kLocalHeaderBytes + name.size() + extra.size());
  std::string header = "PK\x03\x04" + common_part(entry.bytes, entry.crc, name.size(), zip64);
  append(header, static_cast<uint16_t>(extra.size()));
  write(header + name + extra);
  file_.write(data);
  written_ += data.size();
  entries_.push_back(entry);
}

void ZipWriter::commit() {
  const uint64_t begin = written_;
  for (const Entry& entry : entries_) {
    const std::string extra = zip64_field({entry.bytes, entry.bytes, entry.header});
    std::string listed = "PK\x01\x02";
    append(listed, kVersionOfZip64);
    listed += common_part(entry.bytes, entry.crc, entry.name.size(), !extra.empty());
    append(listed, static_cast<uint16_t>(extra.size()));
    listed += std::string(10, '\0');  // comment, disk, attributes
    append(listed, low32(entry.header));
    write(listed + entry.name + extra);
  }
  const uint64_t bytes = written_ - begin, count = entries_.size();
  std::string end;
  if (begin >= kLimit32 || bytes >= kLimit32 || count >= kLimit16) {
    end = "PK\x06\x06";
    append(end, uint64_t{44});  // bytes of this record that follow
    append(end, kVersionOfZip64);
    append(end, kVersionOfZip64);
    append(end, uint64_t{0});  // disks
    for (const uint64_t value : {count, count, bytes, begin}) append(end, value);
    end += "PK\x06\x07" + std::string(4, '\0');
    append(end, begin + bytes);
    append(end, uint32_t{1});
  }
  end += "PK\x05\x06" + std::string(4, '\0');
  append(end, low16(count));
  append(end, low16(count));
  append(end, low32(bytes));
  append(end, low32(begin));
  append(end, uint16_t{0});  // comment
  write(end);
  file_.commit();
}

}  // namespace excitor
