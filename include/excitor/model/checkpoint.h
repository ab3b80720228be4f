// Frozen weights from files, or from nothing.
#pragma once

#include <filesystem>
#include <string>

#include <excitor/model/llama.h>
#include <excitor/tensor/safetensors.h>

namespace excitor {

/// A loaded base and what identifies it.
struct LoadedModel {
  Llama model;
  std::string fingerprint;  ///< hash of names, shapes, stored types and samples of the content
  std::string stored_type;  ///< "bfloat16": the type of most weights in the file
};

/// Throws CheckpointError that lists the tensors that are missing or have another shape than config.json
/// demands.
void check_weights(const std::filesystem::path& folder, const SafetensorsFolder& files,
                   const std::vector<WeightShape>& expected);

/// Loads a Hugging Face folder (safetensors, one file or shards). fp32 weights of an fp32 file stay in its
/// mapping. Throws CheckpointError that names file and tensor: missing, of another shape, not a floating
/// type; weights left over that no LLaMA of this config.json has are reported by a warning.
LoadedModel load_hugging_face(const std::filesystem::path& folder, at::ScalarType type);

/// Random weights: normal with initializer_range, norms one, biases zero (as transformers initialises).
LoadedModel random_llama(const LlamaConfig& config, uint64_t seed, at::ScalarType type);

}  // namespace excitor
