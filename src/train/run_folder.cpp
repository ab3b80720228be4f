#include <excitor/train/run_folder.h>

#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// Calls `visit` for each complete line of metrics.jsonl.
void for_each_metric(const fs::path& file,
                     const std::function<void(const std::string& line, const Json& metric)>& visit) {
  if (!fs::exists(file)) return;
  const std::string text = read_file(file);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    const Json metric = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (metric.is_object()) visit(line, metric);
  }
}

/// {"train": {"epochs": 3}} -> {"train.epochs": 3}
void flatten(const Json& json, const std::string& prefix, std::map<std::string, Json>& out) {
  if (!json.is_object() || json.empty()) {
    out[prefix] = json;
    return;
  }
  for (const auto& [key, value] : json.items())
    flatten(value, prefix.empty() ? key : prefix + "." + key, out);
}

}  // namespace

RunState RunFolder::state() const {
  bool started = false, ended = false;
  for (const char* name : {"config.json", "metrics.jsonl", "adapter", "model", "checkpoints"})
    started |= fs::exists(path_ / name);
  for_each_metric(metrics_file(), [&](const std::string&, const Json& metric) {
    ended |= metric.value("event", "") == "end";
  });
  return ended ? RunState::finished : started ? RunState::unfinished : RunState::none;
}

Json RunFolder::recorded_config() const {
  if (!fs::exists(path_ / "config.json")) return Json();
  return read_json_file(path_ / "config.json");
}

void RunFolder::check_writable() const {
  // The nearest folder that exists tells whether the rest can be made; a probe is removed at once.
  fs::path existing = path_;
  while (!fs::exists(existing)) existing = existing.parent_path();
  if (!fs::is_directory(existing)) {
    throw IoError(fmt::format("output_dir {}: {} is a file, not a folder; choose another output_dir",
                              path_.string(), existing.string()));
  }
  try {
    AtomicFile(existing / ".excitor-write-probe").write(std::string_view("probe"));
  } catch (const IoError& error) {
    throw IoError(fmt::format("output_dir {} can't be written to: {}", path_.string(), error.what()));
  }
}

void RunFolder::begin(const Json& config) const {
  make_writable_folder(path_);
  remove_temporaries(path_);
  remove_temporaries(path_ / "checkpoints");
  write_file_atomically(path_ / "config.json", config.dump(2) + "\n");
}

void RunFolder::cut_metrics(int64_t steps) const {
  std::string kept;
  for_each_metric(metrics_file(), [&](const std::string& line, const Json& metric) {
    const bool later = metric.contains("step") && metric["step"].is_number_integer() &&
                       metric["step"].get<int64_t>() > steps;
    if (steps > 0 && !later) kept += line + "\n";
  });
  if (fs::exists(metrics_file())) write_file_atomically(metrics_file(), kept);
}

std::vector<std::string> differing_keys(const Json& recorded, const Json& now) {
  std::map<std::string, Json> before, after;
  flatten(recorded, "", before);
  flatten(now, "", after);
  std::set<std::string> keys;
  for (const auto& [key, value] : before) keys.insert(key);
  for (const auto& [key, value] : after) keys.insert(key);
  std::vector<std::string> different;
  for (const std::string& key : keys) {
    const bool free = key == "output_dir" || key.starts_with("checkpoint.") || key.starts_with("logging.") ||
                      key.starts_with("eval.") || key.starts_with("distributed.") || key == "data.cache_dir";
    if (!free && before[key] != after[key]) different.push_back(key);
  }
  return different;
}

}  // namespace excitor
