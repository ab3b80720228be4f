// LLaMA-Adapter V2 (arXiv 2304.15010): a scale and a bias on the linears, unlocked norms, the prompts of
// LLaMA-Adapter, optionally LoRA beside them; and images, whose rows are added to the prompts of some layers.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include <ATen/ops/add.h>
#include <ATen/ops/mul.h>
#include <fmt/format.h>

#include <excitor/methods/target_modules.h>
#include <excitor/model/llama.h>
#include <excitor/tensor/fused.h>

#include "adaption_prompt.h"
#include "methods.h"
#include "visual_blocks.h"

namespace excitor {
namespace {

enum class ScalePosition { output, input };
enum class PromptProjection { tuned, frozen };

const std::vector<std::string> kAllLeafNames = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                "gate_proj", "up_proj", "down_proj"};

struct AdapterV2Settings {
  AdaptionPromptSettings prompts;
  ScalePosition scale_position = ScalePosition::output;
  std::vector<std::string> scale_target_modules = kAllLeafNames;
  std::vector<std::string> bias_target_modules = kAllLeafNames;
  bool train_norms = true;
  int64_t lora_r = 0;                ///< 0: no LoRA
  std::optional<double> lora_alpha;  ///< default: lora_r, a scale of one as in the release
  PromptProjection prompt_projection = PromptProjection::tuned;
  bool new_gate = false;
  VisualSettings visual;
  VisualBlocksSettings blocks;
  std::vector<int64_t> visual_layers;  ///< default: all but the first, as released

  bool shows_images(int64_t layer) const {
    return visual.is_set() &&
           std::find(visual_layers.begin(), visual_layers.end(), layer) != visual_layers.end();
  }
  /// All but the first, where nothing else was asked for.
  void resolve_visual_layers(const LlamaConfig& model) {
    if (!visual.is_set() || !visual_layers.empty()) return;
    for (int64_t layer = 1; layer < model.num_hidden_layers; ++layer) visual_layers.push_back(layer);
  }
};

/// "q_proj" of "self_attn.q_proj".
std::string leaf_name(Projection site) {
  const std::string name = projection_name(site);
  return name.substr(name.rfind('.') + 1);
}

bool lists(const std::vector<std::string>& leaf_names, Projection site) {
  return std::find(leaf_names.begin(), leaf_names.end(), leaf_name(site)) != leaf_names.end();
}

/// What stands around one frozen linear; undefined tensors where nothing does.
struct TunedLinear {
  at::Tensor input_scale;   // [in]
  at::Tensor output_scale;  // [out]
  at::Tensor bias;          // [out]
  LoraTerm lora;

  /// s ⊙ (W x + b), or W (x ⊙ s) + b, with scale · B A x inside where there is LoRA. x [n,in] -> [n,out].
  at::Tensor operator()(const Linear& frozen, const at::Tensor& x) const {
    const auto type = x.scalar_type();
    const at::Tensor in = input_scale.defined() ? at::mul(x, input_scale.to(type)) : x;
    at::Tensor y = lora.a.defined() ? lora_linear(frozen, in, lora) : frozen_linear(frozen, in);
    if (bias.defined()) y = at::add(y, bias.to(type));
    return output_scale.defined() ? at::mul(y, output_scale.to(type)) : y;
  }
};

class AdapterV2Layer : public LayerBypass {
 public:
  std::array<TunedLinear, kProjections> linears;
  std::array<at::Tensor, 2> norms;       // by NormSite, [D]; undefined: frozen
  std::optional<AdaptionPrompt> prompt;  // in the top layers
  PromptProjection prompt_projection = PromptProjection::tuned;

  at::Tensor project(Projection site, const Linear& frozen, const at::Tensor& x, const Step&) const override {
    return linears[static_cast<int>(site)](frozen, x);
  }
  at::Tensor norm_weight(NormSite site, const at::Tensor& frozen) const override {
    const at::Tensor& trained = norms[static_cast<int>(site)];
    return trained.defined() ? trained : frozen;
  }
  at::Tensor attended(const LayerWeights& weights, const at::Tensor& q, const at::Tensor& attended,
                      const Step& step) const override {
    if (!prompt) return attended;
    return prompt->add_to(attended, q, step, [&](Projection site, const at::Tensor& rows) {
      return prompt_projection == PromptProjection::tuned ? project(site, weights.linear(site), rows, step)
                                                          : frozen_linear(weights.linear(site), rows);
    });
  }
};

class AdapterV2Bypass : public LayerwiseBypass {
 public:
  AdapterV2Bypass(int64_t layers, at::Tensor final_norm, VisualSettings visual, VisualBlocks blocks)
      : LayerwiseBypass(layers),
        layers_(layers),
        final_norm_(std::move(final_norm)),
        visual_(visual),
        blocks_(blocks) {}
  std::shared_ptr<const PassState> begin_pass(const Segments&, const SequenceImages& images) const override {
    visual_.check_images(images);
    return std::make_shared<PromptCache>(layers_, visual_rows(images, blocks_));
  }
  at::Tensor final_norm(const at::Tensor& frozen) const override {
    return final_norm_.defined() ? final_norm_ : frozen;
  }

 private:
  int64_t layers_;
  at::Tensor final_norm_;  // [D] or undefined
  VisualSettings visual_;
  VisualBlocks blocks_;
};

class AdapterV2Method : public Method {
 public:
  std::string_view name() const override { return "adapter_v2"; }
  std::string_view peft_type() const override { return "LLAMA_ADAPTER_V2"; }

  void describe(Describer& d) override {
    AdapterV2Settings& s = settings_;
    s.prompts.describe(d, kNonNegative);
    d.choice("scale_position", s.scale_position,
             {{"output", ScalePosition::output}, {"input", ScalePosition::input}},
             "Where the scales stand: on a linear's output, s(Wx + b), as in the paper, or on its input, "
             "W(sx) + b, as in the released chat model.");
    d.field("scale_target_modules", s.scale_target_modules,
            "Linears with a scale: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.");
    d.field("bias_target_modules", s.bias_target_modules, "Linears with a bias, named likewise.");
    d.field("train_norms", s.train_norms, "Train the weights of all norms.");
    d.field("lora_r", s.lora_r, "Rank of LoRA on all linears beside scales and biases; 0: none.",
            kNonNegative);
    d.field("lora_alpha", s.lora_alpha, "LoRA's change is scaled by lora_alpha / lora_r; default: lora_r.",
            kPositive);
    d.choice("prompt_projection", s.prompt_projection,
             {{"tuned", PromptProjection::tuned}, {"frozen", PromptProjection::frozen}},
             "Whether the prompts' keys and values go through scales, biases and LoRA, or the frozen linears "
             "alone as in the released multimodal model.");
    d.field("new_gate", s.new_gate,
            "One more factor on the prompts' gate of a layer, starting at 1 (released multimodal model).");
    s.visual.describe(d);
    s.blocks.describe(d);
    d.field("visual_layers", s.visual_layers,
            "Layers, counted from 0, to whose prompts an image's rows are added; one that is not among the "
            "adapter_layers has prompts for images alone. Default: all but the first, as released.");
  }

  void resolve(const LlamaConfig& model) override {
    if (settings_.prompts.adapter_len > 0) settings_.prompts.adapter_layers = settings_.prompts.layers(model);
    if (settings_.lora_r > 0) settings_.lora_alpha = lora_alpha();
    settings_.resolve_visual_layers(model);
  }

  void check(const LlamaConfig& model, const std::string& path, Problems& problems) const override {
    settings_.prompts.check(model, path, problems);
    check_visual(model, path, problems);
    check_leaf_names(settings_.scale_target_modules, path + ".scale_target_modules", problems);
    check_leaf_names(settings_.bias_target_modules, path + ".bias_target_modules", problems);
    if (problems.empty() && parameters(model).empty())
      problems.add(path, "nothing trains: no prompts, scales, biases, norms or LoRA");
  }

  std::vector<ParameterSpec> parameters(const LlamaConfig& model) const override {
    std::vector<ParameterSpec> specs;
    if (settings_.visual.is_set()) {
      settings_.blocks.add_parameters(*settings_.visual.visual_width, settings_.prompts.adapter_len,
                                      model.hidden_size, specs);
    }
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
      if (has_prompts(model, layer)) add_prompts(model, layer, specs);
      for (const Projection site : kAllProjections) add_linear(model, layer, site, specs);
      if (!settings_.train_norms) continue;
      for (const NormSite site : {NormSite::input, NormSite::post_attention})
        add_norm(model, fmt::format("model.layers.{}.{}.weight", layer, norm_name(site)), specs);
    }
    if (settings_.train_norms) add_norm(model, "model.norm.weight", specs);
    return specs;
  }

  std::unique_ptr<ModelBypass> bypass(const LlamaConfig& model,
                                      const ParameterSet& parameters) const override {
    auto bypass = std::make_unique<AdapterV2Bypass>(
        model.num_hidden_layers, find(parameters, "base_model.model.model.norm.weight"), settings_.visual,
        VisualBlocks(parameters, settings_.blocks));
    for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer)
      bypass->set(layer, layer_bypass(model, parameters, layer));
    return bypass;
  }

  VisualSettings* visual() override { return &settings_.visual; }
  /// All tokens through the last norm and the projection.
  FeatureSettings visual_features() const override {
    return {.kind = FeatureKind::projected_tokens, .layers = {}};
  }
  /// Images train the visual side and the prompts and gates of the layers that show them (with gates of zero
  /// nothing else would ever move); texts train the rest.
  TrainedBy trained_by(std::string_view name) const override {
    if (!settings_.visual.is_set()) return TrainedBy::everything;
    const size_t at = name.find(".layers.");
    if (at == std::string_view::npos)
      return name.ends_with("model.norm.weight") ? TrainedBy::texts : TrainedBy::images;
    const int64_t layer = std::atoll(std::string(name.substr(at + 8)).c_str());
    const bool is_prompt = name.find(".adaption_") != std::string_view::npos;
    return is_prompt && settings_.shows_images(layer) ? TrainedBy::images : TrainedBy::texts;
  }

 private:
  bool has_prompts(const LlamaConfig& model, int64_t layer) const {
    return settings_.prompts.has_prompts(model, layer) || settings_.shows_images(layer);
  }

  void check_visual(const LlamaConfig& model, const std::string& path, Problems& problems) const {
    settings_.visual.check(path, problems);
    if (!settings_.visual.is_set()) return;
    settings_.blocks.check(path, problems);
    if (settings_.prompts.adapter_len == 0)
      problems.add(path + ".adapter_len", "found 0, but an image's rows are added to prompts");
    for (const int64_t layer : settings_.visual_layers) {
      if (layer < 0 || layer >= model.num_hidden_layers) {
        problems.add(path + ".visual_layers", fmt::format("found {}, but the model's layers are 0 to {}",
                                                          layer, model.num_hidden_layers - 1));
      }
    }
  }

  double lora_alpha() const { return settings_.lora_alpha.value_or(static_cast<double>(settings_.lora_r)); }

  static at::Tensor find(const ParameterSet& parameters, const std::string& name) {
    return parameters.contains(name) ? parameters.at(name) : at::Tensor();
  }

  static void check_leaf_names(const std::vector<std::string>& names, const std::string& path,
                               Problems& problems) {
    for (const std::string& name : names) {
      if (std::find(kAllLeafNames.begin(), kAllLeafNames.end(), name) != kAllLeafNames.end()) continue;
      const std::string near = nearest_name(name, kAllLeafNames);
      problems.add(path, fmt::format("\"{}\" is no linear of a layer{}; known: {}", name,
                                     near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near),
                                     fmt::join(kAllLeafNames, ", ")));
    }
  }

  void add_prompts(const LlamaConfig& model, int64_t layer, std::vector<ParameterSpec>& specs) const {
    settings_.prompts.add_parameters(model, layer, specs);
    if (settings_.new_gate)
      specs.push_back({layer_prefix(layer) + "self_attn.adaption_new_gate", {1}, Init::constant(1)});
  }

  void add_linear(const LlamaConfig& model, int64_t layer, Projection site,
                  std::vector<ParameterSpec>& specs) const {
    const auto [out, in] = linear_size(model, site);
    const std::string name = layer_prefix(layer) + projection_name(site);
    const int64_t scaled = settings_.scale_position == ScalePosition::output ? out : in;
    if (lists(settings_.scale_target_modules, site))
      specs.push_back({name + ".adapter_scale", {scaled}, Init::constant(1)});
    if (lists(settings_.bias_target_modules, site))
      specs.push_back({name + ".adapter_bias", {out}, Init::constant(0)});
    if (settings_.lora_r == 0) return;
    specs.push_back({name + ".lora_A.weight",
                     {settings_.lora_r, in},
                     Init::uniform(1 / std::sqrt(static_cast<double>(in)))});
    specs.push_back({name + ".lora_B.weight", {out, settings_.lora_r}, Init::constant(0)});
  }

  static void add_norm(const LlamaConfig& model, const std::string& name, std::vector<ParameterSpec>& specs) {
    specs.push_back({"base_model.model." + name, {model.hidden_size}, Init::base_weight(name)});
  }

  TunedLinear tuned_linear(const ParameterSet& parameters, int64_t layer, Projection site) const {
    const std::string name = layer_prefix(layer) + projection_name(site);
    TunedLinear linear{.bias = find(parameters, name + ".adapter_bias")};
    (settings_.scale_position == ScalePosition::output ? linear.output_scale : linear.input_scale) =
        find(parameters, name + ".adapter_scale");
    if (settings_.lora_r > 0) {
      linear.lora = {.a = parameters.at(name + ".lora_A.weight"),
                     .b = parameters.at(name + ".lora_B.weight"),
                     .scale = lora_alpha() / static_cast<double>(settings_.lora_r)};
    }
    return linear;
  }

  std::unique_ptr<AdapterV2Layer> layer_bypass(const LlamaConfig& model, const ParameterSet& parameters,
                                               int64_t layer) const {
    auto bypass = std::make_unique<AdapterV2Layer>();
    bypass->prompt_projection = settings_.prompt_projection;
    for (const Projection site : kAllProjections)
      bypass->linears[static_cast<int>(site)] = tuned_linear(parameters, layer, site);
    for (const NormSite site : {NormSite::input, NormSite::post_attention}) {
      bypass->norms[static_cast<int>(site)] =
          find(parameters, layer_prefix(layer) + norm_name(site) + ".weight");
    }
    if (has_prompts(model, layer)) {
      const PromptSight sight{.adds_image = settings_.shows_images(layer),
                              .needs_image = !settings_.prompts.has_prompts(model, layer)};
      bypass->prompt.emplace(parameters, layer, settings_.prompts.gate_activation, sight);
    }
    return bypass;
  }

  AdapterV2Settings settings_;
};

}  // namespace

std::unique_ptr<Method> make_adapter_v2() {
  return std::make_unique<AdapterV2Method>();
}

}  // namespace excitor
