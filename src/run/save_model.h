// A trained whole model as a Hugging Face folder.
#pragma once

#include <filesystem>
#include <string>

#include <ATen/core/Tensor.h>

#include <excitor/model/llama_config.h>
#include <excitor/tensor/parameter_set.h>

namespace excitor {

struct WholeModel {
  LlamaConfig config;
  const ParameterSet& parameters;          ///< by Hugging Face names
  at::ScalarType type = at::kFloat;        ///< of the written weights
  std::filesystem::path tokenizer_source;  ///< folder or file whose tokenizer is copied
};

/// Writes config.json, generation_config.json, safetensors (sharded above 5 GB) and the tokenizer's files;
/// the folder appears complete or not at all.
void save_hugging_face(const std::filesystem::path& folder, const WholeModel& model);

}  // namespace excitor
