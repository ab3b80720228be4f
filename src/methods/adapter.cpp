// LLaMA-Adapter (arXiv 2303.16199): prompts in the top layers, attended behind a zero gate.
#include <nlohmann/json.hpp>

#include <excitor/tensor/fused.h>
#include <excitor/util/log.h>

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

  std::vector<at::Tensor> project_all(std::span<const Projection> sites, const LayerWeights& weights,
                                      const at::Tensor& x, const Step&) const override {
    return frozen_projections(sites, weights, x);
  }

 private:
  AdaptionPrompt prompt_;
};

constexpr const char* kVisualProjection = "base_model.model.adapter_visual";

/// The global features of several layers, concatenated and projected to one vector [1,D], which is added to
/// every prompt (arXiv 2303.16199, section 3.3).
class AdapterBypass : public LayerwiseBypass {
 public:
  AdapterBypass(int64_t layers, const ParameterSet& parameters, const VisualSettings& visual)
      : LayerwiseBypass(layers), layers_(layers), parameters_(parameters), visual_(visual) {}

  std::shared_ptr<const PassState> begin_pass(const Segments&, const SequenceImages& images) const override {
    visual_.check_images(images);
    return std::make_shared<PromptCache>(
        layers_, visual_rows(images, [&](const at::Tensor& features) {
          return visual_linear(parameters_, kVisualProjection, features.flatten(1)).unsqueeze(1);  // [N,1,D]
        }));
  }

 private:
  int64_t layers_;
  const ParameterSet& parameters_;
  VisualSettings visual_;
};

class AdapterMethod : public Method {
 public:
  std::string_view name() const override { return "adapter"; }
  /// PEFT's own type where the settings are PEFT's, so that PEFT loads the folder as it is.
  std::string_view peft_type() const override {
    const bool is_pefts = settings_.gate == GateShape::per_layer &&
                          settings_.gate_activation == GateActivation::none && !visual_.is_set();
    return is_pefts ? "ADAPTION_PROMPT" : "LLAMA_ADAPTER";
  }
  std::vector<std::string_view> readable_peft_types() const override {
    return {"LLAMA_ADAPTER", "ADAPTION_PROMPT"};
  }

  void describe(Describer& d) override {
    settings_.describe(d, kAtLeastOne);
    visual_.describe(d);
    d.field(
        "clip_layers", clip_layers_,
        "Layers of the vision tower whose global features are concatenated, from the lowest to the highest "
        "whatever their order here; negative ones count from the end. Default: the last one.");
  }
  void resolve(const LlamaConfig& model) override { settings_.adapter_layers = settings_.layers(model); }
  void check(const LlamaConfig& model, const std::string& path, Problems& problems) const override {
    settings_.check(model, path, problems);
    visual_.check(path, problems);
    if (is_from_peft_ && model.attention_bias) {
      log::warning(
          "an adapter of PEFT on a base with biases in its attention: PEFT adds o_proj's bias a second time "
          "in "
          "each layer with prompts, and here it is added once, as LLaMA-Adapter's formula has it; unless "
          "that "
          "bias is zero, the answers differ from PEFT's");
    }
  }

  void read_adapter_config(Json& config, Problems& problems) override {
    if (config["peft_type"] != "ADAPTION_PROMPT") return;
    is_from_peft_ = !config.contains("gate_activation");  // which this program writes
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
    if (visual_.is_set()) {
      add_visual_linear(specs, kVisualProjection, model.hidden_size,
                        *visual_.visual_rows * *visual_.visual_width);
    }
    return specs;
  }

  std::unique_ptr<ModelBypass> bypass(const LlamaConfig& model,
                                      const ParameterSet& parameters) const override {
    auto bypass = std::make_unique<AdapterBypass>(model.num_hidden_layers, parameters, visual_);
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      if (!settings_.has_prompts(model, layer)) continue;
      bypass->set(layer, std::make_unique<AdapterLayer>(
                             AdaptionPrompt(parameters, layer, settings_.gate_activation)));
    }
    return bypass;
  }

  VisualSettings* visual() override { return &visual_; }
  TrainedBy trained_by(std::string_view name) const override {
    return name.starts_with(kVisualProjection) ? TrainedBy::images : TrainedBy::everything;
  }
  FeatureSettings visual_features() const override {
    return {.kind = FeatureKind::class_tokens, .layers = clip_layers_};
  }

 private:
  AdaptionPromptSettings settings_;
  VisualSettings visual_;
  std::vector<int64_t> clip_layers_;
  bool is_from_peft_ = false;
};

}  // namespace

std::unique_ptr<Method> make_adapter() {
  return std::make_unique<AdapterMethod>();
}

}  // namespace excitor
