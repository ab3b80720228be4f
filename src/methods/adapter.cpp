// LLaMA-Adapter (arXiv 2303.16199): prompts in the top layers, attended behind a zero gate.
#include <nlohmann/json.hpp>

#include <excitor/tensor/fused.h>

#include "adaption_prompt.h"
#include "methods.h"

namespace excitor {
namespace {

class AdapterLayer : public LayerBypass {
 public:
  explicit AdapterLayer(AdaptionPrompt prompt) : prompt_(std::move(prompt)) {}

  at::Tensor attended(const LayerWeights& weights, const at::Tensor& q, const at::Tensor& attended,
                      const Step& step) const override {
    return prompt_.add_to(attended, q, step, [&](Projection site, const at::Tensor& prompt) {
      return frozen_linear(weights.linear(site), prompt);
    });
  }

 private:
  AdaptionPrompt prompt_;
};

class AdapterBypass : public LayerwiseBypass {
 public:
  explicit AdapterBypass(int64_t layers) : LayerwiseBypass(layers), layers_(layers) {}
  std::shared_ptr<const PassState> begin_pass(const Segments&) const override {
    return std::make_shared<PromptCache>(layers_);
  }

 private:
  int64_t layers_;
};

class AdapterMethod : public Method {
 public:
  std::string_view name() const override { return "adapter"; }
  /// PEFT's own type where the settings are PEFT's, so that PEFT loads the folder as it is.
  std::string_view peft_type() const override {
    const bool is_pefts =
        settings_.gate == GateShape::per_layer && settings_.gate_activation == GateActivation::none;
    return is_pefts ? "ADAPTION_PROMPT" : "LLAMA_ADAPTER";
  }
  std::vector<std::string_view> readable_peft_types() const override {
    return {"LLAMA_ADAPTER", "ADAPTION_PROMPT"};
  }

  void describe(Describer& d) override { settings_.describe(d, kAtLeastOne); }
  void resolve(const LlamaConfig& model) override { settings_.adapter_layers = settings_.layers(model); }
  void check(const LlamaConfig& model, const std::string& path, Problems& problems) const override {
    settings_.check(model, path, problems);
  }

  void complete_adapter_config(Json& config, Problems& problems) const override {
    if (config["peft_type"] != "ADAPTION_PROMPT") return;
    if (!config.contains("gate")) config["gate"] = "per_layer";
    if (!config.contains("gate_activation")) config["gate_activation"] = "none";
    if (config.contains("target_modules") && config["target_modules"] != "self_attn" &&
        !config["target_modules"].is_null()) {
      problems.add("target_modules", "is " + config["target_modules"].dump() +
                                         "; prompts of LLaMA models belong to \"self_attn\"");
    }
  }

  std::vector<ParameterSpec> parameters(const LlamaConfig& model) const override {
    std::vector<ParameterSpec> specs;
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      if (settings_.has_prompts(model, layer)) settings_.add_parameters(model, layer, specs);
    }
    return specs;
  }

  std::unique_ptr<ModelBypass> bypass(const LlamaConfig& model,
                                      const ParameterSet& parameters) const override {
    auto bypass = std::make_unique<AdapterBypass>(model.num_hidden_layers);
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      if (!settings_.has_prompts(model, layer)) continue;
      bypass->set(layer, std::make_unique<AdapterLayer>(
                             AdaptionPrompt(parameters, layer, settings_.gate_activation)));
    }
    return bypass;
  }

 private:
  AdaptionPromptSettings settings_;
};

}  // namespace

std::unique_ptr<Method> make_adapter() {
  return std::make_unique<AdapterMethod>();
}

}  // namespace excitor
