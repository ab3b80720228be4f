// What a user says about a file that is imported.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include <excitor/model/llama_config.h>
#include <excitor/tensor/parameter_set.h>

namespace excitor {

/// The base that an imported adapter belongs to.
struct ImportBase {
  std::string name;  ///< its folder, as it was given
  LlamaConfig config;
  BaseWeight weight;  ///< by Hugging Face name; asked only for what the file lacks
};

struct ImportOptions {
  std::optional<ImportBase> base;
  std::optional<int64_t> adapter_len;   ///< prompts a layer (files of LLaMA-Adapter); default 10
  std::optional<int64_t> visual_heads;  ///< of the visual blocks (V2 multimodal); default 16, as released
  /// The folder of the tower that a visual side (V2 multimodal) looks through, to be recorded; empty: the
  /// release's CLIP ViT-L/14, which every use must then be told of.
  std::string vision;
  /// What gates of LLaMA-Adapter go through: "tanh", as its training code has it (the default), or "none", as
  /// the inference code released with version 1.
  std::optional<std::string> gate_activation;
};

}  // namespace excitor
