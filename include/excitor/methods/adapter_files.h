// An adapter folder: adapter_config.json and adapter_model.safetensors, with the names of PEFT.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/adapter_tensors.h>
#include <excitor/methods/method.h>
#include <excitor/methods/vision_origin.h>
#include <excitor/model/llama_config.h>
#include <excitor/tensor/parameter_set.h>

namespace excitor {

/// What an adapter was trained on and with; empty where a file does not say.
struct AdapterOrigin {
  std::string base_model_name_or_path;
  std::string base_fingerprint;
  std::string tokenizer_sha256;
  Json prompt_template = "";                ///< a name or an object (PromptTemplate)
  std::optional<VisionOrigin> vision = {};  ///< of methods whose visual() is set

  /// The template in one line: its name, or the object as JSON.
  std::string template_text() const;
};

/// The settings of an adapter folder, without its weights.
struct AdapterSettings {
  std::unique_ptr<Method> method;
  AdapterOrigin origin;
};
/// Throws ConfigError (no such folder) or CheckpointError (no adapter, an unknown peft_type or setting).
AdapterSettings read_adapter_method(const std::filesystem::path& folder);

/// An adapter read from a folder: settings and values, checked against the model's shape.
struct LoadedAdapter {
  std::unique_ptr<Method> method;
  ParameterSet parameters;
  AdapterOrigin origin;
};

/// Writes both files and README.md (a model card) into `folder`, which appears complete or not at all.
void save_adapter(const std::filesystem::path& folder, Method& method, const ParameterSet& parameters,
                  const AdapterOrigin& origin);

/// What is expected of the base; a difference is an error, or with `force` a warning.
struct AdapterExpectation {
  std::string base_fingerprint;  ///< empty: not checked
  std::string tokenizer_sha256;  ///< empty: not checked
  bool force = false;
};

/// Reads our folders and PEFT's (adapter_model.safetensors, else adapter_model.bin). Strict: a missing or
/// left-over tensor, another shape, an unknown setting, another base or tokenizer is a CheckpointError that
/// names it. The parameters lie on `device`.
LoadedAdapter load_adapter(const std::filesystem::path& folder, const LlamaConfig& model,
                           const AdapterExpectation& expected, at::Device device = at::kCPU);

}  // namespace excitor
