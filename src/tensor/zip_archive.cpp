// Reads the directory of a zip archive (PKWARE's APPNOTE 6.3, sections 4.3 and 4.5).
#include "zip_archive.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include <excitor/util/error.h>

#include "crc32.h"
#include "safetensors_header.h"

namespace excitor {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryEntry = 0x02014b50, kEndOfDirectory = 0x06054b50,
                   kZip64End = 0x06064b50, kZip64Locator = 0x07064b50;
constexpr size_t kLocalHeaderBytes = 30, kDirectoryEntryBytes = 46, kEndBytes = 22, kZip64EndBytes = 56,
                 kZip64LocatorBytes = 20, kMostCommentBytes = 0xffff;
constexpr uint16_t kEncrypted = 1, kZip64Field = 1;
constexpr uint32_t kInZip64 = 0xffffffff;  // the value stands in the zip64 field or record instead

/// Little-endian numbers of a byte range; every access is checked.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  size_t size() const { return bytes_.size(); }
  uint16_t u16(uint64_t at) const { return number<uint16_t>(at); }
  uint32_t u32(uint64_t at) const { return number<uint32_t>(at); }
  uint64_t u64(uint64_t at) const { return number<uint64_t>(at); }
  std::string_view text(uint64_t at, uint64_t length) const {
    const auto part = slice(at, length);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  std::span<const std::byte> slice(uint64_t at, uint64_t length) const {
    if (at > bytes_.size() || length > bytes_.size() - at) {
      throw CheckpointError(fmt::format(
          "{}: the archive points to {} bytes at {}, but only {} bytes are there: it is cut off; {}", file_,
          length, at, bytes_.size(), kDamaged));
    }
    return bytes_.subspan(at, length);
  }

 private:
  template <class T>
  T number(uint64_t at) const {
    T value;
    std::memcpy(&value, slice(at, sizeof value).data(), sizeof value);
    return value;
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
};

[[noreturn]] void fail(const std::string& file, const std::string& fault) {
  throw CheckpointError(fmt::format("{}: {}; {}", file, fault, kDamaged));
}

struct Directory {
  uint64_t begin = 0, bytes = 0, entries = 0;
};

/// The end record stands in the last bytes; only a comment may follow it.
uint64_t find_end_record(const Bytes& bytes, const std::string& file) {
  if (bytes.size() >= kEndBytes) {
    const uint64_t last = bytes.size() - kEndBytes;
    const uint64_t first = last - std::min<uint64_t>(last, kMostCommentBytes);
    for (uint64_t at = last + 1; at-- > first;) {
      if (bytes.u32(at) == kEndOfDirectory && at + kEndBytes + bytes.u16(at + 20) == bytes.size()) return at;
    }
  }
  fail(file, "the archive has no directory at its end: it is cut off");
}

Directory zip64_directory(const Bytes& bytes, uint64_t end_record, const std::string& file) {
  if (end_record < kZip64LocatorBytes || bytes.u32(end_record - kZip64LocatorBytes) != kZip64Locator)
    fail(file, "the zip64 record of the archive is missing");
  const uint64_t record = bytes.u64(end_record - kZip64LocatorBytes + 8);
  if (bytes.slice(record, kZip64EndBytes).empty() || bytes.u32(record) != kZip64End)
    fail(file, "the zip64 record of the archive is not where it should be");
  return {
      .begin = bytes.u64(record + 48), .bytes = bytes.u64(record + 40), .entries = bytes.u64(record + 32)};
}

Directory find_directory(const Bytes& bytes, const std::string& file) {
  const uint64_t end = find_end_record(bytes, file);
  Directory directory{
      .begin = bytes.u32(end + 16), .bytes = bytes.u32(end + 12), .entries = bytes.u16(end + 10)};
  if (directory.begin == kInZip64 || directory.bytes == kInZip64 || directory.entries == 0xffff)
    directory = zip64_directory(bytes, end, file);
  bytes.slice(directory.begin, directory.bytes);
  return directory;
}

/// One entry as the directory lists it.
struct Listed {
  std::string name;
  uint64_t header = 0;  ///< offset of the local header
  uint64_t bytes = 0;   ///< in the archive
  uint32_t crc = 0;
  uint16_t flags = 0, method = 0;
};

/// Values that are too large for 32 bits, in the order of the standard: size, stored size, offset.
struct LargeValues {
  uint64_t bytes, stored_bytes, header;
};

/// Replaces values that are 0xffffffff by those of the zip64 field among the extra fields.
void read_zip64_field(const Bytes& extra, LargeValues& values, const std::string& file) {
  for (uint64_t at = 0; at + 4 <= extra.size(); at += 4 + extra.u16(at + 2)) {
    if (extra.u16(at) != kZip64Field) continue;
    uint64_t next = at + 4;
    const uint64_t end = next + extra.u16(at + 2);
    for (uint64_t* value : {&values.bytes, &values.stored_bytes, &values.header}) {
      if (*value != kInZip64) continue;
      if (next + 8 > end) fail(file, "the zip64 field of an entry is too short");
      *value = extra.u64(next);
      next += 8;
    }
    return;
  }
}

void check_entry(const std::string& file, const Listed& entry, uint64_t content_bytes) {
  if ((entry.flags & kEncrypted) != 0)
    throw CheckpointError(fmt::format("{}: {} is encrypted; decrypt the file", file, quote_name(entry.name)));
  if (entry.method == 0 && content_bytes != entry.bytes) {
    fail(file, fmt::format("{} has {} bytes in the archive but {} bytes of content", quote_name(entry.name),
                           entry.bytes, content_bytes));
  }
}

std::vector<Listed> read_directory(const Bytes& bytes, const Directory& directory, const std::string& file) {
  std::vector<Listed> listed;
  const uint64_t end = directory.begin + directory.bytes;
  uint64_t at = directory.begin;
  while (at < end) {
    if (bytes.slice(at, kDirectoryEntryBytes).empty() || bytes.u32(at) != kDirectoryEntry)
      fail(file, "the directory of the archive is broken");
    const uint64_t name_bytes = bytes.u16(at + 28), extra_bytes = bytes.u16(at + 30);
    LargeValues values{bytes.u32(at + 24), bytes.u32(at + 20), bytes.u32(at + 42)};
    const Bytes extra(bytes.slice(at + kDirectoryEntryBytes + name_bytes, extra_bytes), file);
    read_zip64_field(extra, values, file);
    listed.push_back({.name = std::string(bytes.text(at + kDirectoryEntryBytes, name_bytes)),
                      .header = values.header,
                      .bytes = values.stored_bytes,
                      .crc = bytes.u32(at + 16),
                      .flags = bytes.u16(at + 8),
                      .method = bytes.u16(at + 10)});
    check_entry(file, listed.back(), values.bytes);
    at += kDirectoryEntryBytes + name_bytes + extra_bytes + bytes.u16(at + 32);
  }
  if (at != end || listed.size() != directory.entries) {
    fail(file, fmt::format("the directory of the archive lists {} entries, expected {}", listed.size(),
                           directory.entries));
  }
  return listed;
}

/// The data behind the entry's own header, which must agree with the directory.
std::span<const std::byte> entry_data(const Bytes& bytes, const Listed& entry, const std::string& file) {
  bytes.slice(entry.header, kLocalHeaderBytes);
  const uint64_t name_bytes = bytes.u16(entry.header + 26), extra_bytes = bytes.u16(entry.header + 28);
  if (bytes.u32(entry.header) != kLocalHeader ||
      bytes.text(entry.header + kLocalHeaderBytes, name_bytes) != entry.name) {
    fail(file, fmt::format("there is no header of {} at byte {}", quote_name(entry.name), entry.header));
  }
  return bytes.slice(entry.header + kLocalHeaderBytes + name_bytes + extra_bytes, entry.bytes);
}

}  // namespace

ZipArchive::ZipArchive(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const std::string name = file_->path().string();
  const Bytes bytes(file_->bytes(), name);
  const Directory directory = find_directory(bytes, name);
  std::vector<Listed> listed = read_directory(bytes, directory, name);
  std::ranges::sort(listed, {}, &Listed::header);
  uint64_t free_from = 0;
  for (const Listed& entry : listed) {
    const auto data = entry_data(bytes, entry, name);
    const auto end = static_cast<uint64_t>(data.data() + data.size() - file_->bytes().data());
    if (entry.header < free_from || end > directory.begin)
      fail(name, fmt::format("{} overlaps another part of the archive", quote_name(entry.name)));
    free_from = end;
    if (!entries_.emplace(entry.name, ZipEntry{data, entry.method, entry.crc}).second)
      fail(name, fmt::format("the archive has two entries {}", quote_name(entry.name)));
  }
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return nullptr;
  if (found->second.method == 0) return &found->second;
  throw CheckpointError(fmt::format(
      "{}: {} is compressed (zip method {}{}); torch.save stores its records plainly. Take the original "
      "file, or pack it again with `zip -0`",
      file_->path().string(), quote_name(name), found->second.method,
      found->second.method == 8 ? ", deflate" : ""));
}

void check_crc(const std::string& file, const std::string& name, const ZipEntry& entry) {
  if (entry.crc == 0) return;
  const uint32_t found = crc32(entry.data);
  if (found == entry.crc) return;
  fail(file,
       fmt::format("the checksum of {} is {:08x}, expected {:08x}", quote_name(name), found, entry.crc));
}

}  // namespace excitor
