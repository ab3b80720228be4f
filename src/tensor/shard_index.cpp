#include "shard_index.h"

#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/json.h>

#include "safetensors_header.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

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

}  // namespace

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

ShardOfTensor read_shard_index(const fs::path& index) {
  const Json json = read_index_json(index);
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  if (found == json.end() || !found->is_object()) {
    throw CheckpointError(
        fmt::format("{}: expected an object with the object weight_map; {}", index.string(), kDamaged));
  }
  ShardOfTensor shard_of;
  for (const auto& [tensor, shard] : found->items()) {
    if (!shard.is_string()) {
      throw CheckpointError(
          fmt::format("{}: weight_map: tensor {}: found {}, expected the name of a file; {}", index.string(),
                      quote_name(tensor), describe_value(shard), kDamaged));
    }
    check_shard_name(shard.get<std::string>(), index);
    shard_of.emplace(tensor, shard.get<std::string>());
  }
  for (const std::string& shard : shards_of(shard_of)) {
    if (is_there(index.parent_path() / shard)) continue;
    throw CheckpointError(
        fmt::format("{}: the shard {} is missing in this folder; download it", index.string(), shard));
  }
  return shard_of;
}

void check_shard_index(const ShardOfTensor& shard_of, const fs::path& index,
                       const std::map<std::string, std::vector<std::string>>& tensors_of_shard) {
  std::map<std::string_view, std::string_view> found_in;
  for (const auto& [shard, tensors] : tensors_of_shard) {
    for (const std::string& tensor : tensors) {
      const auto [first, is_new] = found_in.emplace(tensor, shard);
      if (is_new) continue;
      throw CheckpointError(fmt::format("{}: tensor {} stands in two shards, {} and {}; download them again",
                                        index.string(), quote_name(tensor), first->second, shard));
    }
  }
  for (const auto& [tensor, shard] : shard_of) {
    const auto found = found_in.find(tensor);
    if (found != found_in.end() && found->second == shard) continue;
    throw CheckpointError(fmt::format("{}: tensor {} is not in its shard {}; download index and shard again",
                                      index.string(), quote_name(tensor), shard));
  }
}

std::set<std::string> shards_of(const ShardOfTensor& shard_of) {
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.insert(shard);
  return shards;
}

}  // namespace excitor
