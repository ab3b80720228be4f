#include "adaption_prompt.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/tanh.h>
#include <fmt/format.h>

#include <excitor/tensor/fused.h>

namespace excitor {
namespace {

constexpr int64_t kPaperLayers = 30;

std::string attention_prefix(int64_t layer) {
  return layer_prefix(layer) + "self_attn.";
}

}  // namespace

void AdaptionPromptSettings::describe(Describer& d, Range adapter_len_range) {
  d.field("adapter_len", adapter_len, "Prompts a layer (K).", adapter_len_range);
  d.field("adapter_layers", adapter_layers,
          "Number of layers with prompts, counted from the top; default: 30, or all of a smaller model.",
          kAtLeastOne);
  d.choice("gate", gate, {{"per_head", GateShape::per_head}, {"per_layer", GateShape::per_layer}},
           "One gate for each query head, or one for the layer.");
  d.choice("gate_activation", gate_activation,
           {{"tanh", GateActivation::tanh}, {"none", GateActivation::none}},
           "What the gate goes through: tanh as in the paper, or none as in PEFT's adaption_prompt.");
}

int64_t AdaptionPromptSettings::layers(const LlamaConfig& model) const {
  if (adapter_len == 0) return 0;
  return adapter_layers.value_or(std::min(kPaperLayers, model.num_hidden_layers));
}

bool AdaptionPromptSettings::has_prompts(const LlamaConfig& model, int64_t layer) const {
  return layer >= model.num_hidden_layers - layers(model);
}

void AdaptionPromptSettings::check(const LlamaConfig& model, const std::string& path,
                                   Problems& problems) const {
  if (layers(model) > model.num_hidden_layers) {
    problems.add(path + ".adapter_layers", fmt::format("found {}, but the model has {} layers", layers(model),
                                                       model.num_hidden_layers));
  }
}

void AdaptionPromptSettings::add_parameters(const LlamaConfig& model, int64_t layer,
                                            std::vector<ParameterSpec>& specs) const {
  const int64_t gates = gate == GateShape::per_head ? model.query_heads() : 1;
  const std::string name = attention_prefix(layer);
  specs.push_back({name + "adaption_prompt", {1, adapter_len, model.hidden_size}, Init::normal(0, 1)});
  specs.push_back({name + "adaption_gate", {gates}, Init::constant(0)});
}

AdaptionPrompt::AdaptionPrompt(const ParameterSet& parameters, int64_t layer, GateActivation activation,
                               PromptSight sight)
    : layer_(layer), activation_(activation), sight_(sight) {
  const std::string name = attention_prefix(layer);
  prompt_ = parameters.at(name + "adaption_prompt");
  gate_ = parameters.at(name + "adaption_gate");
  if (parameters.contains(name + "adaption_new_gate")) new_gate_ = parameters.at(name + "adaption_new_gate");
}

at::Tensor AdaptionPrompt::add_to(const at::Tensor& attended, const at::Tensor& q, const Step& step,
                                  const Projector& project) const {
  const auto* pass = dynamic_cast<const VisualPass*>(step.state());
  if (!pass || !pass->has_images()) {
    if (sight_.needs_image) return attended;
    return at::addcmul(attended, attend(q, keys_and_values(q, step, project, PromptCache::kNoImage, {})),
                       gate(q));
  }
  const at::Tensor gates = gate(q);
  return for_each_sequence(attended, step.segments(), [&](int64_t i, const at::Tensor& part) {
    const at::Tensor& rows = pass->rows(i);
    if (sight_.needs_image && !rows.defined()) return part;
    const at::Tensor queries = q.narrow(0, step.segments().begin(i), step.segments().length(i));
    const bool shows = rows.defined() && sight_.adds_image;
    const auto prompt =
        keys_and_values(q, step, project, shows ? i : PromptCache::kNoImage, shows ? rows : at::Tensor());
    return at::addcmul(part, attend(queries, prompt), gates);  // [T_i,H,d]
  });
}

at::Tensor AdaptionPrompt::attend(const at::Tensor& q, const KeysAndValues& prompt) {
  return prompt_attention(q, prompt.first, prompt.second);  // [T,H,d]
}

AdaptionPrompt::KeysAndValues AdaptionPrompt::keys_and_values(const at::Tensor& q, const Step& step,
                                                              const Projector& project, int64_t sequence,
                                                              const at::Tensor& rows) const {
  const auto compute = [&]() -> KeysAndValues {
    at::Tensor prompt = prompt_.squeeze(0).to(q.scalar_type());  // [K,D]
    if (rows.defined()) prompt = at::add(prompt, rows.to(q.scalar_type()));
    const auto heads = [&](Projection site) {
      return project(site, prompt).view({prompt.size(0), -1, q.size(2)});
    };
    return {heads(Projection::k), heads(Projection::v)};
  };
  const auto* cache = dynamic_cast<const PromptCache*>(step.state());
  if (!cache || at::GradMode::is_enabled()) return compute();
  KeysAndValues& entry = cache->entry(layer_, sequence);
  if (!entry.first.defined()) entry = compute();
  return entry;
}

at::Tensor AdaptionPrompt::gate(const at::Tensor& like) const {
  at::Tensor gate = activation_ == GateActivation::tanh ? at::tanh(gate_) : gate_;
  if (new_gate_.defined()) gate = at::mul(gate, new_gate_);
  return gate.to(like.scalar_type()).view({-1, 1});
}

}  // namespace excitor
