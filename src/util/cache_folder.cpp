#include <excitor/util/cache_folder.h>

#include <algorithm>
#include <cstdlib>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRemoved = ".excitor-removed";  ///< of a name: what lies there is nobody's any more

/// What a folder holds, by the files that the cache itself puts there; empty: it is not of the cache.
std::string content_of(const fs::path& folder) {
  if (folder.extension() == kRemoved) return "left over";
  if (fs::exists(folder / "manifest.json"))
    return folder.extension() == ".partial" ? "tokens, unfinished" : "tokens";
  return fs::exists(folder / "key.json") ? "features of images" : "";
}

CacheEntry entry_of(const fs::path& folder, std::string content) {
  CacheEntry entry{.folder = folder, .content = std::move(content), .last_used = fs::last_write_time(folder)};
  for (const auto& file : fs::directory_iterator(folder)) {
    if (!file.is_regular_file()) continue;
    entry.bytes += static_cast<int64_t>(file.file_size());
    entry.last_used = std::max(entry.last_used, file.last_write_time());
  }
  return entry;
}

void add_entries(const fs::path& folder, int depth, std::vector<CacheEntry>& entries) {
  for (const auto& child : fs::directory_iterator(folder)) {
    if (child.is_symlink() || !child.is_directory()) continue;
    if (std::string content = content_of(child.path()); !content.empty())
      entries.push_back(entry_of(child.path(), std::move(content)));
    else if (depth > 0)
      add_entries(child.path(), depth - 1, entries);
  }
}

/// True while another process holds the folder to fill it (see FolderTurn).
bool is_being_filled(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool held = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0;
  ::close(descriptor);
  return held;
}

/// Renamed first, so that nobody meets half of it.
void remove_entry(const fs::path& folder) {
  const fs::path removed = folder.extension() == kRemoved ? folder : fs::path(folder.string() + kRemoved);
  if (removed != folder) fs::rename(folder, removed);
  fs::remove_all(removed);
}

}  // namespace

std::optional<fs::path> default_cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
    return fs::path(cache) / "excitor";
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return fs::path(home) / ".cache" / "excitor";
  return std::nullopt;
}

void note_cache_use(const fs::path& folder) noexcept {
  std::error_code ignored;
  fs::last_write_time(folder, fs::file_time_type::clock::now(), ignored);
}

std::vector<CacheEntry> list_cache(const fs::path& folder) {
  std::vector<CacheEntry> entries;
  try {
    if (fs::exists(folder)) add_entries(folder, /*depth=*/1, entries);
  } catch (const fs::filesystem_error& error) {
    throw IoError(fmt::format("the cache can't be read: {}", error.what()));
  }
  std::ranges::stable_sort(entries, {}, &CacheEntry::last_used);
  return entries;
}

std::vector<CacheEntry> shrink_cache(const fs::path& folder, int64_t bytes) {
  std::vector<CacheEntry> removed;
  const std::vector<CacheEntry> entries = list_cache(folder);
  int64_t total = 0;
  for (const CacheEntry& entry : entries) total += entry.bytes;
  for (const CacheEntry& entry : entries) {
    const bool is_rubbish = entry.folder.extension() == kRemoved;
    if ((total <= bytes && !is_rubbish) || is_being_filled(entry.folder)) continue;
    try {
      remove_entry(entry.folder);
    } catch (const fs::filesystem_error& error) {
      throw IoError(fmt::format("the cache can't be made smaller: {}", error.what()));
    }
    total -= entry.bytes;
    removed.push_back(entry);
  }
  return removed;
}

}  // namespace excitor
