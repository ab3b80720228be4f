// Zip archives as torch.save writes them: stored entries, found through the central directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <excitor/util/files.h>

namespace excitor {

struct ZipEntry {
  std::span<const std::byte> data;  ///< in the mapped file
  uint16_t method = 0;              ///< 0: stored plainly; others are compressed
  uint32_t crc = 0;  ///< 0: perhaps not computed (torch.serialization.set_crc32_options(False))
};

/// A mapped archive whose directory was checked: names, sizes, places, overlaps. Checksums are not: see
/// check_crc.
class ZipArchive {
 public:
  /// Throws CheckpointError that begins with the file's name: no directory at the end (cut off, or no zip
  /// archive), an entry outside the file, over another one, encrypted, or named twice.
  explicit ZipArchive(std::shared_ptr<const MappedFile> file);

  const std::shared_ptr<const MappedFile>& file() const { return file_; }
  const std::map<std::string, ZipEntry, std::less<>>& entries() const { return entries_; }
  /// Null when there is none. Throws CheckpointError when it is compressed.
  const ZipEntry* find(std::string_view name) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, ZipEntry, std::less<>> entries_;
};

/// Throws CheckpointError when a checksum is recorded and the data have another one.
void check_crc(const std::string& file, const std::string& name, const ZipEntry& entry);

}  // namespace excitor
