#include "model_folder.h"

#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <system_error>

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

bool has(const fs::path& folder, const char* name) {
  std::error_code error;
  return fs::exists(folder / name, error);
}

/// NN of "consolidated.NN.pth".
std::optional<int> shard_number(const std::string& name) {
  constexpr std::string_view kBefore = "consolidated.", kAfter = ".pth";
  if (!name.starts_with(kBefore) || !name.ends_with(kAfter) || name.size() <= kBefore.size() + kAfter.size())
    return std::nullopt;
  const char *begin = name.data() + kBefore.size(), *end = name.data() + name.size() - kAfter.size();
  int number = -1;
  const auto [next, error] = std::from_chars(begin, end, number);
  return error == std::errc() && next == end && number >= 0 ? std::optional(number) : std::nullopt;
}

std::map<int, fs::path> numbered_shards(const fs::path& folder) {
  std::map<int, fs::path> shards;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (const auto number = shard_number(entry.path().filename().string()))
      shards.emplace(*number, entry.path());
  }
  return shards;
}

[[noreturn]] void fail_no_model(const fs::path& folder) {
  std::string advice = "give the folder that holds the model's files";
  if (has_meta_shards(folder)) advice = "download the params.json that belongs to consolidated.*.pth";
  if (has(folder, "original/params.json")) advice = fmt::format("give {}", (folder / "original").string());
  throw ConfigError(
      fmt::format("{}: has neither config.json (Hugging Face) nor params.json (Meta), so it is no model "
                  "folder; {}",
                  folder.string(), advice));
}

}  // namespace

ModelFolder model_folder_kind(const fs::path& folder) {
  if (std::error_code error; !fs::is_directory(folder, error)) {
    throw ConfigError(fmt::format(
        "{}: {}", folder.string(),
        fs::exists(folder, error) ? "is a file; give the model's folder" : "no such model folder"));
  }
  const bool hugging_face = has(folder, "config.json"), meta = has(folder, "params.json");
  if (hugging_face) {
    if (has(folder, "model.safetensors") || has(folder, "model.safetensors.index.json"))
      return ModelFolder::safetensors;
    if (has(folder, "pytorch_model.bin") || has(folder, "pytorch_model.bin.index.json"))
      return ModelFolder::torch;
  }
  if (meta && (!hugging_face || has_meta_shards(folder))) return ModelFolder::meta;
  if (hugging_face) return ModelFolder::safetensors;
  fail_no_model(folder);
}

std::string model_config_name(const fs::path& folder) {
  return model_folder_kind(folder) == ModelFolder::meta ? "params.json" : "config.json";
}

bool has_meta_shards(const fs::path& folder) {
  return !numbered_shards(folder).empty();
}

std::vector<fs::path> meta_shards(const fs::path& folder) {
  std::vector<fs::path> shards;
  for (const auto& [number, path] : numbered_shards(folder)) {
    if (number != static_cast<int>(shards.size())) {
      throw CheckpointError(fmt::format("{}: found {}, but consolidated.{:02}.pth is missing; download it",
                                        folder.string(), path.filename().string(), shards.size()));
    }
    shards.push_back(path);
  }
  if (!shards.empty()) return shards;
  throw CheckpointError(fmt::format(
      "{}: params.json is there, but no consolidated.00.pth; download the weights", folder.string()));
}

}  // namespace excitor
