// The folder of what is kept to be computed once (tokens, features of images): what lies there, and less of
// it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace excitor {

/// One folder of the cache.
struct CacheEntry {
  std::filesystem::path folder;
  std::string content;  ///< "tokens", "tokens, unfinished", "features of images" or "left over"
  int64_t bytes = 0;
  std::filesystem::file_time_type last_used;
};

/// $XDG_CACHE_HOME/excitor or ~/.cache/excitor; nothing when neither variable is set.
std::optional<std::filesystem::path> default_cache_folder();

/// Notes that a folder of the cache was used. No error when it can't be.
void note_cache_use(const std::filesystem::path& folder) noexcept;

/// The entries of a cache, also one folder further down, the one that was used longest ago first. Anything
/// else in the folder is not the cache's and is not listed. Throws IoError when the folder can't be read; one
/// that does not exist has no entries.
std::vector<CacheEntry> list_cache(const std::filesystem::path& folder);

/// Removes entries, those used longest ago first, until the others take no more than `bytes`; returns the
/// removed ones. Entries that are being filled stay. A process that has an entry of tokens open goes on with
/// it. Throws IoError.
std::vector<CacheEntry> shrink_cache(const std::filesystem::path& folder, int64_t bytes);

}  // namespace excitor
