#include "file_hash.h"

#include <optional>

#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/file_stamp.h>
#include <excitor/util/files.h>
#include <excitor/util/json.h>
#include <excitor/util/sha256.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

Json stamp_json(const FileStamp& stamp) {
  return {{"size", stamp.size},
          {"modified_ns", stamp.modified_ns},
          {"status_changed_ns", stamp.status_changed_ns},
          {"inode", stamp.inode}};
}

std::optional<std::string> recall(const fs::path& note, const Json& key) {
  try {
    const Json json = read_json_file(note);
    if (json.is_object() && json.contains("sha256") && json.contains("key") && json["key"] == key)
      return json["sha256"].get<std::string>();
  } catch (const std::exception&) {
    // Absent or damaged: the file is hashed again.
  }
  return std::nullopt;
}

/// Smaller files are hashed faster than a note of them is found.
constexpr int64_t kWorthANote = int64_t{1} << 20;  // bytes

}  // namespace

std::string remembered_hash(const fs::path& path, const fs::path& folder) {
  const FileStamp stamp = stamp_of(path);
  if (stamp.size < kWorthANote) return sha256_of_file(path);
  const std::string absolute = fs::absolute(path).string();
  Json key = stamp_json(stamp);
  key["path"] = absolute;
  const fs::path note = folder / (sha256_hex(absolute) + ".json");
  if (const auto known = recall(note, key)) return *known;
  const std::string hash = sha256_of_file(path);
  if (stamp_of(path) != stamp)
    throw DataError(path.string() + ": the file changed while it was read; start again once it is complete");
  if (!is_settled(stamp)) return hash;
  try {
    make_writable_folder(folder);
    write_file_atomically(note, Json({{"key", key}, {"sha256", hash}}).dump(2) + "\n");
  } catch (const IoError&) {
    // The next start hashes again.
  }
  return hash;
}

}  // namespace excitor
