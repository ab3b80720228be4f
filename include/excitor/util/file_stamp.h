// Cheap signs that a file is the same as before.
#pragma once

#include <cstdint>
#include <filesystem>

namespace excitor {

/// What the file system tells of a file without reading it; a write changes it.
struct FileStamp {
  int64_t size = 0;               ///< bytes
  int64_t modified_ns = 0;        ///< since 1970
  int64_t status_changed_ns = 0;  ///< since 1970: set by the system alone
  int64_t inode = 0;
  bool operator==(const FileStamp&) const = default;
};

/// Throws IoError.
FileStamp stamp_of(const std::filesystem::path& path);

/// False for a file that was written a moment ago: it may be written again within the clock's tick, its stamp
/// unchanged, so the stamp tells nothing yet.
bool is_settled(const FileStamp& stamp);

}  // namespace excitor
