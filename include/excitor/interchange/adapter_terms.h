// An adapter as what it does to each weight of the base, whatever its method: what the writers of other
// programs' formats start from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/methods/adapter_files.h>
#include <excitor/methods/target_modules.h>
#include <excitor/model/bypass.h>
#include <excitor/util/json.h>

namespace excitor {

/// y = s_out ⊙ (W (s_in ⊙ x) + b_0 + lora_scale · B A (s_in ⊙ x) + bias) in the place of W x + b_0. Tensors
/// are undefined where the adapter has none.
struct LinearTerms {
  at::Tensor lora_a;  // [r,in]
  at::Tensor lora_b;  // [out,r]
  double lora_scale = 0;
  at::Tensor input_scale;   // [in]
  at::Tensor output_scale;  // [out]
  at::Tensor bias;          // [out]

  bool has_lora() const { return lora_a.defined(); }
  /// False where the projection stays frozen.
  bool any() const;
};

/// The prompts of one layer.
struct PromptTerms {
  at::Tensor prompt;    // [K,D]
  at::Tensor gate;      // [H] or [1], as stored: before the activation
  at::Tensor new_gate;  // [1] or undefined
};

/// A view of a loaded adapter, which must outlive it.
class AdapterTerms {
 public:
  explicit AdapterTerms(const LoadedAdapter& adapter);

  std::string_view method() const { return adapter_.method->name(); }
  /// The method's settings by the names of adapter_config.json.
  const Json& settings() const { return settings_; }

  LinearTerms linear(int64_t layer, Projection site) const;
  /// Undefined tensors in a layer without prompts.
  PromptTerms prompts(int64_t layer) const;
  /// The trained weight that replaces the base's of this Hugging Face name ("model.norm.weight"), or an
  /// undefined tensor.
  at::Tensor replaced(const std::string& base_name) const;

  /// What the adapter consists of, in words: "LoRA", "prompts", "scales", "biases", "norms", "Excitor",
  /// "visual side".
  std::vector<std::string> parts() const;
  bool has(const std::string& part) const;
  /// The layers with prompts.
  int64_t prompt_layers() const;
  /// "tanh" or "none"; "tanh" where the method has no such setting.
  std::string gate_activation() const;

 private:
  at::Tensor find(const std::string& name) const;
  double lora_scale(int64_t layer, Projection site, int64_t rank) const;

  const LoadedAdapter& adapter_;
  Json settings_;
  ModulePattern lora_alphas_;
};

}  // namespace excitor
