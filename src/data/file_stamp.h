// The content of a file as a hash, and cheap signs that it is the same as before.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

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

/// SHA-256 of a file's bytes, read through a buffer. Throws IoError.
std::string hash_file(const std::filesystem::path& path);

/// hash_file(), or what it gave before for the same path and stamp: those of files of 1 MiB and more are
/// remembered under `folder`. A folder that can't be written to is no error, nothing is remembered then.
/// Throws IoError when the file can't be read, DataError when it changes meanwhile.
std::string remembered_hash(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace excitor
