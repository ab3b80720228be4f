// A model's folder, opened and checked: what its weights are built from.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <excitor/model/checkpoint.h>
#include <excitor/model/llama_config.h>
#include <excitor/tensor/weights.h>

namespace excitor {

struct CheckpointFolder {
  LlamaConfig config;
  Weights files;
  std::vector<WeightShape> expected;

  /// The weight in `type`, as load_weight.
  at::Tensor load(const std::string& name, at::ScalarType type, at::Device device = at::kCPU) const;
  /// The model with what identifies the folder.
  LoadedModel with_weights(LlamaWeights weights, at::ScalarType type) const;
};

/// Throws ConfigError and CheckpointError as load_model; weights left over are reported by a warning.
CheckpointFolder open_checkpoint_folder(const std::filesystem::path& folder);

}  // namespace excitor
