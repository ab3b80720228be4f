#include <excitor/train/checkpoint_store.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>
#include <excitor/version.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";

/// Relative path -> {bytes, sha256} of every file of a folder but the manifest.
Json list_files(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename() != kManifest)
      paths.push_back(fs::relative(entry.path(), folder));
  }
  std::sort(paths.begin(), paths.end());
  Json files = Json::object();
  for (const fs::path& path : paths)
    files[path.string()] = {{"bytes", fs::file_size(folder / path)},
                            {"sha256", sha256_of_file(folder / path)}};
  return files;
}

std::string damage_of_file(const fs::path& file, const Json& expected) {
  if (!fs::is_regular_file(file)) return "is missing";
  const auto bytes = fs::file_size(file);
  if (bytes != expected.at("bytes").get<uintmax_t>())
    return fmt::format("has {} bytes, expected {}", bytes, expected.at("bytes").get<uintmax_t>());
  if (sha256_of_file(file) != expected.at("sha256").get<std::string>())
    return "was changed after it was written";
  return "";
}

}  // namespace

std::string damage_of(const fs::path& checkpoint) {
  if (!fs::exists(checkpoint / kManifest)) return "manifest.json is missing";
  try {
    const Json manifest = read_json_file(checkpoint / kManifest);
    for (const auto& [name, expected] : manifest.at("files").items()) {
      const std::string damage = damage_of_file(checkpoint / name, expected);
      if (!damage.empty()) return name + " " + damage;
    }
    return "";
  } catch (const Error& error) {
    return error.what();
  } catch (const nlohmann::json::exception&) {
    return "manifest.json is not one of this program";
  }
}

fs::path CheckpointStore::folder_of(int64_t step) const {
  return folder_ / fmt::format("step-{}", step);
}

std::vector<int64_t> CheckpointStore::steps() const {
  std::vector<int64_t> steps;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(folder_, absent)) {
    const std::string name = entry.path().filename().string();
    int64_t step = 0;
    if (!name.starts_with("step-")) continue;
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
    if (error == std::errc() && end == name.data() + name.size()) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void CheckpointStore::save(int64_t step, const std::function<void(const fs::path&)>& fill) const {
  make_writable_folder(folder_);
  write_folder_atomically(folder_of(step), [&](const fs::path& temporary) {
    fill(temporary);
    const Json manifest = {{"step", step}, {"version", kVersion}, {"files", list_files(temporary)}};
    write_file_atomically(temporary / kManifest, manifest.dump(2) + "\n");
  });
}

std::optional<int64_t> CheckpointStore::newest_intact() const {
  restore_replaced(folder_);
  const std::vector<int64_t> all = steps();
  std::string damage;
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    damage = damage_of(folder_of(*step));
    if (damage.empty()) return *step;
    damage = fmt::format("{}/{}", folder_of(*step).string(), damage);
    log::warning(damage + "; the checkpoint is damaged and is not used");
  }
  if (all.empty()) return std::nullopt;
  throw CheckpointError(
      fmt::format("{}; none of the {} checkpoints is intact: remove {} to start the run anew", damage,
                  all.size(), folder_.string()));
}

void CheckpointStore::remove_old(int64_t limit) const {
  const std::vector<int64_t> all = steps();
  const int64_t excess = limit == 0 ? 0 : static_cast<int64_t>(all.size()) - limit;
  for (int64_t i = 0; i < excess; ++i) {
    // The newer checkpoints are safe already: an old one that stays costs space, not the run.
    std::error_code error;
    fs::remove_all(folder_of(all[i]), error);
    if (error)
      log::warning(fmt::format("{}: an old checkpoint can't be removed: {}", folder_of(all[i]).string(),
                               error.message()));
  }
}

void CheckpointStore::remove_all() const {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace excitor
