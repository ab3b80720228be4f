// What kind of model a folder holds.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace excitor {

enum class ModelFolder {
  safetensors,  ///< config.json, model.safetensors or its index
  torch,        ///< config.json, pytorch_model.bin or its index
  meta,         ///< params.json, consolidated.NN.pth
};

/// Decided by the files that are there; in doubt the kind that stands first above. A folder with a
/// configuration but no weights counts as what its configuration says. Throws ConfigError: no such folder,
/// neither config.json nor params.json.
ModelFolder model_folder_kind(const std::filesystem::path& folder);

/// "config.json" or "params.json": what describes the model in a folder.
std::string model_config_name(const std::filesystem::path& folder);

/// Whether there is any consolidated.NN.pth.
bool has_meta_shards(const std::filesystem::path& folder);

/// consolidated.00.pth, consolidated.01.pth, … in the order of their numbers. Throws CheckpointError when
/// there is none, or one between others is missing.
std::vector<std::filesystem::path> meta_shards(const std::filesystem::path& folder);

}  // namespace excitor
