// The content of a file as a hash, remembered while the file stays as it is.
#pragma once

#include <filesystem>
#include <string>

namespace excitor {

/// sha256_of_file(), or what it gave before for the same path and stamp: those of files of 1 MiB and more are
/// remembered under `folder`. A folder that can't be written to is no error, nothing is remembered then.
/// Throws IoError when the file can't be read, DataError when it changes meanwhile.
std::string remembered_hash(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace excitor
