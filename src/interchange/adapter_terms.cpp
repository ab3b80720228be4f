#include <excitor/interchange/adapter_terms.h>

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

namespace excitor {
namespace {

/// What the end of a parameter's name says that it is.
struct PartOfName {
  const char* ending;
  const char* part;
};
constexpr PartOfName kParts[] = {
    {".lora_A.weight", "LoRA"},          {".lora_B.weight", "LoRA"},
    {".adaption_prompt", "prompts"},     {".adaption_gate", "prompts"},
    {".adaption_new_gate", "prompts"},   {".adapter_scale", "scales"},
    {".adapter_bias", "biases"},         {"norm.weight", "norms"},
    {".excitor_prompt", "Excitor"},      {".excitor_gate", "Excitor"},
    {".excitor_down.weight", "Excitor"}, {".excitor_up.weight", "Excitor"},
};

/// What the names of a visual side begin with, of Adapter V2, the Excitor and the Adapter.
constexpr std::string_view kVisualBeginnings[] = {"base_model.model.clip_proj", "base_model.model.visual_",
                                                  "base_model.model.excitor_visual.",
                                                  "base_model.model.adapter_visual."};

bool is_visual_side(const std::string& name) {
  return std::ranges::any_of(kVisualBeginnings,
                             [&](std::string_view beginning) { return name.starts_with(beginning); });
}

/// The name of a setting's own kind of part, or the parameter's name where it is none of the known ones.
std::string part_of(const std::string& name) {
  if (is_visual_side(name)) return "visual side";
  for (const auto& [ending, part] : kParts) {
    if (name.ends_with(ending)) return part;
  }
  return name;
}

/// LoRA's alpha for some modules; none where the method has no such setting.
ModulePattern alpha_pattern(const Json& settings) {
  constexpr const char* kTable = "alpha_pattern";
  Problems problems;
  ModulePattern pattern(settings.value(kTable, Json()), Range{}, kTable, problems);
  problems.throw_if_any("the adapter's settings");
  return pattern;
}

}  // namespace

bool LinearTerms::any() const {
  return has_lora() || input_scale.defined() || output_scale.defined() || bias.defined();
}

AdapterTerms::AdapterTerms(const LoadedAdapter& adapter)
    : adapter_(adapter),
      settings_(write_settings([&](Describer& d) { adapter.method->describe(d); })),
      lora_alphas_(alpha_pattern(settings_)) {}

at::Tensor AdapterTerms::find(const std::string& name) const {
  return adapter_.parameters.contains(name) ? adapter_.parameters.at(name).detach() : at::Tensor();
}

double AdapterTerms::lora_scale(int64_t layer, Projection site, int64_t rank) const {
  const auto r = static_cast<double>(rank);
  const double alpha = lora_alphas_.find(layer, site).value_or(settings_.value("lora_alpha", r));
  return alpha / (settings_.value("use_rslora", false) ? std::sqrt(r) : r);
}

LinearTerms AdapterTerms::linear(int64_t layer, Projection site) const {
  const std::string name = layer_prefix(layer) + projection_name(site);
  LinearTerms terms{.lora_a = find(name + ".lora_A.weight"),
                    .lora_b = find(name + ".lora_B.weight"),
                    .bias = find(name + ".adapter_bias")};
  if (terms.has_lora()) terms.lora_scale = lora_scale(layer, site, terms.lora_a.size(0));
  const bool on_input = settings_.value("scale_position", "output") == "input";
  (on_input ? terms.input_scale : terms.output_scale) = find(name + ".adapter_scale");
  return terms;
}

PromptTerms AdapterTerms::prompts(int64_t layer) const {
  const std::string name = layer_prefix(layer) + "self_attn.";
  const at::Tensor prompt = find(name + "adaption_prompt");  // [1,K,D]
  if (!prompt.defined()) return {};
  return {.prompt = prompt.squeeze(0),
          .gate = find(name + "adaption_gate"),
          .new_gate = find(name + "adaption_new_gate")};
}

at::Tensor AdapterTerms::replaced(const std::string& base_name) const {
  return find("base_model.model." + base_name);
}

std::vector<std::string> AdapterTerms::parts() const {
  std::vector<std::string> parts;
  for (const auto& [name, tensor] : adapter_.parameters.entries()) {
    const std::string part = part_of(name);
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
  }
  return parts;
}

bool AdapterTerms::has(const std::string& part) const {
  const auto all = parts();
  return std::find(all.begin(), all.end(), part) != all.end();
}

int64_t AdapterTerms::prompt_layers() const {
  const auto& entries = adapter_.parameters.entries();
  return std::count_if(entries.begin(), entries.end(),
                       [](const auto& entry) { return entry.name.ends_with(".adaption_prompt"); });
}

std::string AdapterTerms::gate_activation() const {
  return settings_.value("gate_activation", "tanh");
}

}  // namespace excitor
