// LLaMA-Excitor (arXiv 2404.00913): prompts that change the attention keys, and with them only where the
// frozen model looks. T tokens, D hidden width, G key heads, d head width, K prompts, r rank.
#include <algorithm>
#include <cmath>
#include <optional>

#include <ATen/ops/cat.h>
#include <ATen/ops/mul.h>
#include <fmt/format.h>

#include <excitor/tensor/fused.h>

#include "methods.h"
#include "visual_pass.h"

namespace excitor {
namespace {

enum class GateShape { per_head, per_layer };
enum class PromptAttention { per_head, full_width };
enum class UpInit { zero, normal };
enum class VisualPrompts { concat, replace };

constexpr const char* kVisualProjection = "base_model.model.excitor_visual";

struct ExcitorSettings {
  int64_t adapter_len = 30;
  std::optional<int64_t> adapter_layers;  ///< default: the paper's 30, or all layers of a smaller model
  int64_t r = 16;
  GateShape gate = GateShape::per_head;
  // With W_up zero every token gets the same extra key, which softmax cannot see: the model starts as the
  // base whatever the gate, and a large gate lets W_up learn from the first step. Measured on a small English
  // LLaMA (6 layers, one epoch of 720 instructions, three seeds): eval loss 4.990 with a gate of 3, 5.008
  // with 1, both at learning rate 1e-2 and with the same forgetting (+0.011), beside 5.026 for the paper's
  // start at its best rate, 3e-2. Where a large gate is not the base (W_up normal, or the extra key rotated
  // by the token's position), it starts at the paper's 0.
  std::optional<double> gate_init_mean;
  double gate_init_std = 0.02;
  UpInit up_init = UpInit::zero;
  PromptAttention prompt_attention = PromptAttention::per_head;
  bool add_before_rotation = false;
  VisualSettings visual;
  VisualPrompts visual_prompts = VisualPrompts::concat;
};

/// The trainable tensors of one layer.
struct ExcitorTensors {
  at::Tensor prompt;  // [K,G·d]
  at::Tensor down;    // [r,D]
  at::Tensor up;      // [G·d,r]
  at::Tensor gate;    // [G] or [1]
};

class ExcitorLayer : public LayerBypass {
 public:
  ExcitorLayer(ExcitorTensors tensors, const ExcitorSettings& settings)
      : tensors_(std::move(tensors)), settings_(settings) {}

  /// k' = rotate(k) + gate · softmax(hint Pᵀ/√d) P: the paper's softmax(S + g·S_extra), written as changed
  /// keys.
  at::Tensor keys(const at::Tensor& x, const at::Tensor& k, const Step& step) const override {
    const at::Tensor gate = tensors_.gate.to(k.scalar_type()).view({1, -1, 1});
    const at::Tensor change = at::mul(gate, extra_keys(x, k.size(1), step));  // [T,G,d]
    return settings_.add_before_rotation ? step.rotary(k.add(change)) : step.rotary(k).add(change);
  }

  std::vector<at::Tensor> project_all(std::span<const Projection> sites, const LayerWeights& weights,
                                      const at::Tensor& x, const Step&) const override {
    return frozen_projections(sites, weights, x);
  }

 private:
  /// Attention of each token's hint over the prompts, which are keys and values at once. [T,G,d]
  at::Tensor extra_keys(const at::Tensor& x, int64_t key_heads, const Step& step) const {
    const at::Tensor hint = trainable_linear(trainable_linear(x, tensors_.down), tensors_.up);  // [T,G·d]
    const at::Tensor prompt = tensors_.prompt.to(x.scalar_type());                              // [K,G·d]
    const auto* pass = dynamic_cast<const VisualPass*>(step.state());
    if (!pass || !pass->has_images()) return attend(hint, prompt, key_heads);
    return for_each_sequence(hint, step.segments(), [&](int64_t sequence, const at::Tensor& hints) {
      return attend(hints, with_image(prompt, pass->rows(sequence)), key_heads);
    });
  }

  /// The prompts of a sequence: rows of its image behind the trained ones, or in their place.
  at::Tensor with_image(const at::Tensor& prompt, const at::Tensor& rows) const {
    if (!rows.defined()) return prompt;
    const at::Tensor seen = rows.to(prompt.scalar_type());
    return settings_.visual_prompts == VisualPrompts::replace ? seen : at::cat({prompt, seen}, 0);
  }

  /// softmax(hint Pᵀ/√d) P. hint [n,G·d], prompt [K,G·d] -> [n,G,d].
  at::Tensor attend(const at::Tensor& hint, const at::Tensor& prompt, int64_t key_heads) const {
    const int64_t heads = settings_.prompt_attention == PromptAttention::per_head ? key_heads : 1;
    const auto split = [heads](const at::Tensor& y) {
      return y.view({y.size(0), heads, -1});
    };  // [n,heads,·]
    const at::Tensor keys = split(prompt);
    return prompt_attention(split(hint), keys, keys).reshape({hint.size(0), key_heads, -1});
  }

  ExcitorTensors tensors_;
  ExcitorSettings settings_;
};

/// The rows of an image are made once a pass, by one projection for all layers.
class ExcitorBypass : public LayerwiseBypass {
 public:
  ExcitorBypass(int64_t layers, const ParameterSet& parameters, const VisualSettings& visual)
      : LayerwiseBypass(layers), parameters_(parameters), visual_(visual) {}

  std::shared_ptr<const PassState> begin_pass(const Segments&, const SequenceImages& images) const override {
    visual_.check_images(images);
    return std::make_shared<VisualPass>(visual_rows(images, [&](const at::Tensor& features) {
      return visual_linear(parameters_, kVisualProjection, features);  // [N,rows,G·d]
    }));
  }

 private:
  const ParameterSet& parameters_;
  VisualSettings visual_;
};

class ExcitorMethod : public Method {
 public:
  std::string_view name() const override { return "excitor"; }
  std::string_view peft_type() const override { return "EXCITOR"; }

  void describe(Describer& d) override {
    ExcitorSettings& s = settings_;
    d.field("adapter_len", s.adapter_len, "Prompts a layer (K).", kAtLeastOne);
    d.field("adapter_layers", s.adapter_layers,
            "Number of layers with a bypass, counted from the top; default: 30, or all of a smaller model.",
            kAtLeastOne);
    d.field("r", s.r, "Rank of the hint, W_up W_down h.", kAtLeastOne);
    d.choice("gate", s.gate, {{"per_head", GateShape::per_head}, {"per_layer", GateShape::per_layer}},
             "One gate for each key head, or one for the layer.");
    d.field("gate_init_mean", s.gate_init_mean,
            "Mean of the gates at the start; default: 3 where the model then equals the base all the same "
            "(up_init zero, add_before_rotation "
            "false), else 0, the paper's cold start.");
    d.field("gate_init_std", s.gate_init_std, "Standard deviation of the gates at the start.", kNonNegative);
    d.choice("up_init", s.up_init, {{"zero", UpInit::zero}, {"normal", UpInit::normal}},
             "Start of W_up: zero (every token gets the same extra key: equal to the base whatever the gate) "
             "or normal with "
             "standard deviation 1/sqrt(r).");
    d.choice("prompt_attention", s.prompt_attention,
             {{"per_head", PromptAttention::per_head}, {"full_width", PromptAttention::full_width}},
             "Attention over the prompts for each key head, or once over the whole key width.");
    d.field("add_before_rotation", s.add_before_rotation,
            "Add the extra key before the rotary embedding instead of after it.");
    s.visual.describe(d);
    d.choice("visual_prompts", s.visual_prompts,
             {{"concat", VisualPrompts::concat}, {"replace", VisualPrompts::replace}},
             "Whether the rows of an image stand beside the prompts or in their place.");
  }

  void resolve(const LlamaConfig& model) override {
    settings_.adapter_layers = adapter_layers(model);
    settings_.gate_init_mean = gate_init_mean();
  }

  void check(const LlamaConfig& model, const std::string& path, Problems& problems) const override {
    if (adapter_layers(model) > model.num_hidden_layers) {
      problems.add(path + ".adapter_layers", fmt::format("found {}, but the model has {} layers",
                                                         adapter_layers(model), model.num_hidden_layers));
    }
    settings_.visual.check(path, problems);
  }

  std::vector<ParameterSpec> parameters(const LlamaConfig& model) const override {
    const ExcitorSettings& s = settings_;
    const int64_t width = model.key_width(), hidden = model.hidden_size;
    const int64_t gates = s.gate == GateShape::per_head ? model.key_heads() : 1;
    const Init up = s.up_init == UpInit::zero ? Init::constant(0)
                                              : Init::normal(0, 1 / std::sqrt(static_cast<double>(s.r)));
    std::vector<ParameterSpec> specs;
    for (int64_t layer = first_layer(model); layer < model.num_hidden_layers; ++layer) {
      const std::string name = layer_prefix(layer) + "self_attn.";
      specs.push_back({name + "excitor_prompt", {s.adapter_len, width}, Init::normal(0, 1)});
      specs.push_back({name + "excitor_down.weight",
                       {s.r, hidden},
                       Init::uniform(1 / std::sqrt(static_cast<double>(hidden)))});
      specs.push_back({name + "excitor_up.weight", {width, s.r}, up});
      specs.push_back({name + "excitor_gate", {gates}, Init::normal(gate_init_mean(), s.gate_init_std)});
    }
    if (s.visual.is_set()) add_visual_linear(specs, kVisualProjection, width, *s.visual.visual_width);
    return specs;
  }

  std::unique_ptr<ModelBypass> bypass(const LlamaConfig& model,
                                      const ParameterSet& parameters) const override {
    auto bypass = std::make_unique<ExcitorBypass>(model.num_hidden_layers, parameters, settings_.visual);
    for (int64_t layer = first_layer(model); layer < model.num_hidden_layers; ++layer) {
      const std::string name = layer_prefix(layer) + "self_attn.";
      ExcitorTensors tensors{.prompt = parameters.at(name + "excitor_prompt"),
                             .down = parameters.at(name + "excitor_down.weight"),
                             .up = parameters.at(name + "excitor_up.weight"),
                             .gate = parameters.at(name + "excitor_gate")};
      bypass->set(layer, std::make_unique<ExcitorLayer>(std::move(tensors), settings_));
    }
    return bypass;
  }

  VisualSettings* visual() override { return &settings_.visual; }
  /// Class and patch tokens of the last layer.
  FeatureSettings visual_features() const override { return {.kind = FeatureKind::tokens, .layers = {}}; }
  /// Where an image's rows stand in the place of the prompts, it does not reach them.
  TrainedBy trained_by(std::string_view name) const override {
    if (name.starts_with(kVisualProjection)) return TrainedBy::images;
    const bool replaced = settings_.visual.is_set() && settings_.visual_prompts == VisualPrompts::replace;
    return replaced && name.ends_with("excitor_prompt") ? TrainedBy::texts : TrainedBy::everything;
  }

 private:
  int64_t adapter_layers(const LlamaConfig& model) const {
    constexpr int64_t kPaper = 30;
    return settings_.adapter_layers.value_or(std::min(kPaper, model.num_hidden_layers));
  }
  double gate_init_mean() const {
    const bool any_gate_is_the_base = settings_.up_init == UpInit::zero && !settings_.add_before_rotation;
    return settings_.gate_init_mean.value_or(any_gate_is_the_base ? 3.0 : 0.0);
  }
  int64_t first_layer(const LlamaConfig& model) const {
    return model.num_hidden_layers - adapter_layers(model);
  }

  ExcitorSettings settings_;
};

}  // namespace

std::unique_ptr<Method> make_excitor() {
  return std::make_unique<ExcitorMethod>();
}

}  // namespace excitor
