// Frozen weights from files, or from nothing.
#pragma once

#include <filesystem>
#include <string>

#include <excitor/model/llama.h>
#include <excitor/tensor/weights.h>

namespace excitor {

/// A loaded base and what identifies it.
struct LoadedModel {
  Llama model;
  std::string fingerprint;  ///< see base_fingerprint
  std::string stored_type;  ///< "bfloat16": the type of most weights in the file
};

/// The weights in a model's folder by the names of LlamaForCausalLM, whether the files spell them so or as
/// LlamaModel does, without "model.": safetensors or PyTorch's .bin beside config.json (safetensors when both
/// are there), or Meta's consolidated.NN.pth beside params.json. Throws ConfigError
/// and CheckpointError as read_llama_config, SafetensorsFolder and read_torch_file.
Weights open_weights(const std::filesystem::path& folder, const LlamaConfig& config);

/// Throws CheckpointError that lists the tensors that are missing or have another shape than the
/// configuration demands, or names one that is not F32, BF16, F16 or F64.
void check_weights(const Weights& weights, const std::vector<WeightShape>& expected);

/// What identifies a base: a hash of names, shapes, stored types and samples of the content, the same for
/// every kind of folder. check_weights must have passed.
std::string base_fingerprint(const Weights& weights, const std::vector<WeightShape>& expected);

/// Loads a model's folder of any of these kinds. Weights that are stored in `type` as Hugging Face lays them
/// out stay in the mapping of their file. Throws CheckpointError that names file and tensor: missing, of
/// another shape, not a floating type; weights left over that no LLaMA of this configuration has are reported
/// by a warning.
LoadedModel load_model(const std::filesystem::path& folder, at::ScalarType type,
                       at::Device device = at::kCPU);

/// The type of most weights in a model's folder. Throws as load_model.
at::ScalarType stored_type(const std::filesystem::path& folder);

/// Random weights: normal with initializer_range, norms one, biases zero (as transformers initialises).
LoadedModel random_llama(const LlamaConfig& config, uint64_t seed, at::ScalarType type,
                         at::Device device = at::kCPU);

}  // namespace excitor
