#include "adaption_prompt.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/cat.h>
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
  const auto prompts = prompts_of_sequences(q, step, project, *pass);
  return for_each_sequence(attended, step.segments(), [&](int64_t i, const at::Tensor& part) {
    if (!prompts[i].first.defined()) return part;
    const at::Tensor queries = q.narrow(0, step.segments().begin(i), step.segments().length(i));
    return at::addcmul(part, attend(queries, prompts[i]), gates);  // [T_i,H,d]
  });
}

std::vector<AdaptionPrompt::KeysAndValues> AdaptionPrompt::prompts_of_sequences(
    const at::Tensor& q, const Step& step, const Projector& project, const VisualPass& pass) const {
  std::vector<KeysAndValues> prompts(step.segments().count());
  std::vector<int64_t> with_prompt;
  for (int64_t i = 0; i < step.segments().count(); ++i)
    if (pass.rows(i).defined() || !sight_.needs_image) with_prompt.push_back(i);
  const auto image_of = [&](int64_t i) { return sight_.adds_image ? pass.rows(i) : at::Tensor(); };
  if (keeps_prompts(step)) {
    for (const int64_t i : with_prompt) {
      const at::Tensor rows = image_of(i);
      prompts[i] = keys_and_values(q, step, project, rows.defined() ? i : PromptCache::kNoImage, rows);
    }
    return prompts;
  }
  // The different ones, one after another, so that the frozen projections are applied once.
  std::map<int64_t, int64_t> places;  // of a sequence, or of all without an image, among them
  std::vector<at::Tensor> different;  // [K,D] each
  const auto key_of = [&](int64_t i) { return image_of(i).defined() ? i : PromptCache::kNoImage; };
  for (const int64_t i : with_prompt) {
    if (places.try_emplace(key_of(i), std::ssize(different)).second)
      different.push_back(prompt(q.scalar_type(), image_of(i)));
  }
  if (different.empty()) return prompts;
  const KeysAndValues joint = project_prompt(at::cat(different, 0), q.size(2), project);
  const int64_t rows = different.front().size(0);
  for (const int64_t i : with_prompt) {
    const int64_t begin = places.at(key_of(i)) * rows;
    prompts[i] = {joint.first.narrow(0, begin, rows), joint.second.narrow(0, begin, rows)};
  }
  return prompts;
}

at::Tensor AdaptionPrompt::attend(const at::Tensor& q, const KeysAndValues& prompt) {
  return prompt_attention(q, prompt.first, prompt.second);  // [T,H,d]
}

AdaptionPrompt::KeysAndValues AdaptionPrompt::keys_and_values(const at::Tensor& q, const Step& step,
                                                              const Projector& project, int64_t sequence,
                                                              const at::Tensor& rows) const {
  const auto compute = [&] { return project_prompt(prompt(q.scalar_type(), rows), q.size(2), project); };
  if (!keeps_prompts(step)) return compute();
  KeysAndValues& entry = dynamic_cast<const PromptCache&>(*step.state()).entry(layer_, sequence);
  if (!entry.first.defined()) entry = compute();
  return entry;
}

bool AdaptionPrompt::keeps_prompts(const Step& step) {
  return dynamic_cast<const PromptCache*>(step.state()) != nullptr && !at::GradMode::is_enabled();
}

at::Tensor AdaptionPrompt::prompt(at::ScalarType type, const at::Tensor& rows) const {
  const at::Tensor own = prompt_.squeeze(0).to(type);  // [K,D]
  return rows.defined() ? at::add(own, rows.to(type)) : own;
}

AdaptionPrompt::KeysAndValues AdaptionPrompt::project_prompt(const at::Tensor& prompt, int64_t head_width,
                                                             const Projector& project) {
  const auto heads = [&](Projection site) {
    return project(site, prompt).view({prompt.size(0), -1, head_width});
  };
  return {heads(Projection::k), heads(Projection::v)};
}

at::Tensor AdaptionPrompt::gate(const at::Tensor& like) const {
  at::Tensor gate = activation_ == GateActivation::tanh ? at::tanh(gate_) : gate_;
  if (new_gate_.defined()) gate = at::mul(gate, new_gate_);
  return gate.to(like.scalar_type()).view({-1, 1});
}

}  // namespace excitor
