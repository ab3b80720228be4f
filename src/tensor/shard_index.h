// The index beside weights in several files (model.safetensors.index.json, pytorch_model.bin.index.json).
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace excitor {

/// Tensor -> the file that holds it.
using ShardOfTensor = std::map<std::string, std::string, std::less<>>;

/// Whether a file is there; one that can't be looked for is not.
bool is_there(const std::filesystem::path& path);

/// Reads an index and checks that its shards are there. Throws CheckpointError: no index, a shard that is not
/// a plain file name or is missing.
ShardOfTensor read_shard_index(const std::filesystem::path& index);

/// Throws CheckpointError when a tensor is not in the shard that the index names, or stands in two of them.
void check_shard_index(const ShardOfTensor& shard_of, const std::filesystem::path& index,
                       const std::map<std::string, std::vector<std::string>>& tensors_of_shard);

/// The names of the shards, each once.
std::set<std::string> shards_of(const ShardOfTensor& shard_of);

}  // namespace excitor
