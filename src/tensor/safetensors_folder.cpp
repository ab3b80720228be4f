#include <algorithm>
#include <set>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/util/json.h>

#include "safetensors_header.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
using WeightMap = std::map<std::string, std::string, std::less<>>;  // tensor -> shard
using Shards = std::map<std::string, std::shared_ptr<const SafetensorsFile>, std::less<>>;

/// Without std::filesystem_error: a folder that may not be read is one without the file.
bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// Files in `folder` that may hold weights, for the message that ours are missing.
std::vector<std::string> weight_files(const fs::path& folder) {
  static const std::set<std::string> kEndings{".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".gguf"};
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (kEndings.contains(entry.path().extension().string()))
      names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

[[noreturn]] void fail_no_weights(const fs::path& folder, const std::string& stem) {
  if (std::error_code error; !fs::is_directory(folder, error)) {
    throw CheckpointError(
        fmt::format("{}: there is no such folder; expected one with {}.safetensors", folder.string(), stem));
  }
  const std::vector<std::string> others = weight_files(folder);
  throw CheckpointError(
      fmt::format("{}: neither {}.safetensors nor {}.safetensors.index.json is there; found {}. Download the "
                  "safetensors files, or "
                  "convert these weights (Hugging Face transformers: save_pretrained)",
                  folder.string(), stem, stem,
                  others.empty() ? "no weights" : fmt::format("{}", fmt::join(others, ", "))));
}

Json read_index_json(const fs::path& index) {
  try {
    return read_json_file(index);
  } catch (const ConfigError& error) {
    throw CheckpointError(fmt::format("{}; {}", error.what(), kDamaged));
  }
}

void check_shard_name(const std::string& name, const fs::path& index) {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find_first_of("/\\") == std::string::npos && name.find('\0') == std::string::npos;
  if (!plain) {
    throw CheckpointError(
        fmt::format("{}: the shard {} is not a plain file name in the same folder; correct the index",
                    index.string(), quote_name(name)));
  }
}

WeightMap read_index(const fs::path& index) {
  const Json json = read_index_json(index);
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  if (found == json.end() || !found->is_object()) {
    throw CheckpointError(
        fmt::format("{}: expected an object with the object weight_map; {}", index.string(), kDamaged));
  }
  WeightMap map;
  for (const auto& [tensor, shard] : found->items()) {
    if (!shard.is_string()) {
      throw CheckpointError(
          fmt::format("{}: weight_map: tensor {}: found {}, expected the name of a file; {}", index.string(),
                      quote_name(tensor), describe_value(shard), kDamaged));
    }
    check_shard_name(shard.get<std::string>(), index);
    map.emplace(tensor, shard.get<std::string>());
  }
  return map;
}

Shards open_shards(const WeightMap& map, const fs::path& folder, const fs::path& index) {
  Shards shards;
  for (const auto& [tensor, shard] : map) {
    if (shards.contains(shard)) continue;
    if (!is_there(folder / shard)) {
      throw CheckpointError(
          fmt::format("{}: the shard {} is missing in this folder; download it", index.string(), shard));
    }
    shards.emplace(shard, SafetensorsFile::open(folder / shard));
  }
  return shards;
}

void check_index(const WeightMap& map, const Shards& shards, const fs::path& index) {
  std::map<std::string_view, std::string_view> shard_of;
  for (const auto& [shard, file] : shards) {
    for (const auto& [tensor, stored] : file->tensors()) {
      const auto [first, is_new] = shard_of.emplace(tensor, shard);
      if (is_new) continue;
      throw CheckpointError(fmt::format("{}: tensor {} stands in two shards, {} and {}; download them again",
                                        index.string(), quote_name(tensor), first->second, shard));
    }
  }
  for (const auto& [tensor, shard] : map) {
    if (shards.at(shard)->contains(tensor)) continue;
    throw CheckpointError(fmt::format("{}: tensor {} is not in its shard {}; download index and shard again",
                                      index.string(), quote_name(tensor), shard));
  }
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const fs::path& folder, const std::string& stem) : folder_(folder) {
  const fs::path single = folder / (stem + ".safetensors");
  const fs::path index = folder / (stem + ".safetensors.index.json");
  if (is_there(single)) {
    const auto file = SafetensorsFile::open(single);
    for (const auto& [tensor, stored] : file->tensors()) files_.emplace(tensor, file);
    return;
  }
  if (!is_there(index)) fail_no_weights(folder, stem);
  const WeightMap map = read_index(index);
  const Shards shards = open_shards(map, folder, index);
  check_index(map, shards, index);
  for (const auto& [tensor, shard] : map) files_.emplace(tensor, shards.at(shard));
}

const SafetensorsFile& SafetensorsFolder::file(std::string_view name) const {
  const auto found = files_.find(name);
  if (found == files_.end()) {
    throw CheckpointError(
        fmt::format("{}: there is no tensor {} among its {}; use the files that belong to this model",
                    folder_.string(), quote_name(name), files_.size()));
  }
  return *found->second;
}

at::Tensor SafetensorsFolder::load(std::string_view name) const {
  return file(name).load(name);
}

const StoredTensor& SafetensorsFolder::stored(std::string_view name) const {
  return file(name).tensors().find(name)->second;
}

std::span<const std::byte> SafetensorsFolder::bytes(std::string_view name) const {
  return file(name).bytes(name);
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> names;
  names.reserve(files_.size());
  for (const auto& [name, file] : files_) names.push_back(name);
  return names;
}

std::string SafetensorsFolder::file_of(std::string_view name) const {
  return file(name).path().filename().string();
}

std::string SafetensorsFolder::path_of(std::string_view name) const {
  return file(name).path().string();
}

}  // namespace excitor
