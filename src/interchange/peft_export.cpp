// Our adapters as PEFT's.
#include <cmath>

#include <ATen/ops/tanh.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/interchange/adapter_terms.h>
#include <excitor/interchange/peft.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "refusals.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// 8.0 as 8, which is how PEFT writes it.
Json shortest_number(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? Json(static_cast<int64_t>(value))
                                                              : Json(value);
}

/// What every configuration of PEFT begins with.
Json common_config(const char* peft_type, const std::string& base_name) {
  return {{"peft_type", peft_type},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", base_name},
          {"revision", nullptr},
          {"inference_mode", true}};
}

/// The modules with LoRA, by whole path: for settings whose spelling PEFT might read differently.
std::vector<std::string> adapted_modules(const LoadedAdapter& adapter) {
  constexpr std::string_view kPrefix = "base_model.model.", kEnding = ".lora_A.weight";
  std::vector<std::string> modules;
  for (const auto& [name, tensor] : adapter.parameters.entries()) {
    if (name.ends_with(kEnding))
      modules.push_back(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kEnding.size()));
  }
  return modules;
}

/// target_modules as PEFT understands them. A list keeps its spelling; "all-linear" is a word of its own and
/// not an element of a list; a regular expression is written out, since Python's dialect is another, and so
/// is a choice that exclude_modules or layers_to_transform narrow.
Json target_modules(const AdapterTerms& terms, const LoadedAdapter& adapter) {
  if (terms.method() != "lora") return "all-linear";  // adapter_v2 has LoRA on all linears or on none
  const Json& settings = terms.settings();
  if (!settings["exclude_modules"].is_null() || !settings["layers_to_transform"].is_null())
    return adapted_modules(adapter);
  const Json& given = settings["target_modules"];
  if (given == "all-linear") return given;
  if (!given.is_array()) return adapted_modules(adapter);
  for (const Json& name : given) {
    if (name == "all-linear") return name;
  }
  return given;
}

Json lora_config(const AdapterTerms& terms, const LoadedAdapter& adapter, const std::string& base_name) {
  const Json& settings = terms.settings();
  const char* rank_name = terms.method() == "lora" ? "r" : "lora_r";
  const auto rank = settings[rank_name].get<int64_t>();
  Json config = common_config("LORA", base_name);
  config["r"] = rank;
  config["lora_alpha"] = shortest_number(settings.value("lora_alpha", static_cast<double>(rank)));
  config["lora_dropout"] = settings.value("lora_dropout", 0.0);
  config["use_rslora"] = settings.value("use_rslora", false);
  config["target_modules"] = target_modules(terms, adapter);
  config["rank_pattern"] = settings.value("rank_pattern", Json::object());
  config["alpha_pattern"] = settings.value("alpha_pattern", Json::object());
  config["bias"] = "none";
  config["fan_in_fan_out"] = false;
  config["init_lora_weights"] = true;
  config["use_dora"] = false;
  for (const char* key : {"modules_to_save", "exclude_modules", "layers_to_transform", "layers_pattern"})
    config[key] = nullptr;
  return config;
}

std::vector<NamedTensor> lora_tensors(const LoadedAdapter& adapter) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : adapter.parameters.entries()) tensors.push_back({name, tensor.detach()});
  return tensors;
}

Json adaption_prompt_config(const AdapterTerms& terms, const std::string& base_name) {
  Json config = common_config("ADAPTION_PROMPT", base_name);
  config["adapter_len"] = terms.settings()["adapter_len"];
  config["adapter_layers"] = terms.prompt_layers();
  config["target_modules"] = "self_attn";
  return config;
}

/// The one gate [1] that PEFT multiplies a layer's prompts with. `name` is the parameter's.
at::Tensor peft_gate(const AdapterTerms& terms, const std::string& name, const at::Tensor& gate) {
  const at::Tensor first = gate.narrow(0, 0, 1);
  if (!gate.eq(first).all().item<bool>()) {
    throw UsageError(fmt::format(
        "export --format peft: {} differs between the {} heads of its layer (from {} to {}), and PEFT's "
        "ADAPTION_PROMPT has one gate a layer; train with method.gate=per_layer, or export --format "
        "llama-adapter",
        name, gate.size(0), gate.min().item<float>(), gate.max().item<float>()));
  }
  return terms.gate_activation() == "tanh" ? at::tanh(first.to(at::kDouble)).to(at::kFloat) : first;
}

std::vector<NamedTensor> adaption_prompt_tensors(const AdapterTerms& terms, const LoadedAdapter& adapter) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : adapter.parameters.entries()) {
    const at::Tensor value = tensor.detach();
    tensors.push_back({name, name.ends_with(".adaption_gate") ? peft_gate(terms, name, value) : value});
  }
  return tensors;
}

/// PEFT sends the prompts' part through o_proj by itself, bias and all, so that the bias is added twice in
/// every layer with prompts.
void require_no_output_bias(const LoadedAdapter& adapter, const PeftBase& base) {
  if (!base.config.attention_bias) return;
  for (int64_t layer = 0; layer < base.config.num_hidden_layers; ++layer) {
    if (!adapter.parameters.contains(layer_prefix(layer) + "self_attn.adaption_prompt")) continue;
    const std::string bias = fmt::format("model.layers.{}.self_attn.o_proj.bias", layer);
    if (!base.weight(bias).ne(0).any().item<bool>()) continue;
    throw UsageError(fmt::format(
        "export --format peft: {} of this base is not zero, and PEFT's ADAPTION_PROMPT adds it a second time "
        "in "
        "each layer with prompts, so PEFT would give other answers than the adapter was trained for; run it "
        "with `excitor generate MODEL --adapter DIR`, or export --format llama-adapter",
        bias));
  }
}

std::string model_card(const LoadedAdapter& adapter, const std::string& base_name) {
  return fmt::format(
      "---\n"
      "library_name: peft\n"
      "base_model: {0}\n"
      "pipeline_tag: text-generation\n"
      "tags:\n- base_model:adapter:{0}\n- {1}\n- transformers\n"
      "---\n\n"
      "# {1} adapter of `{0}`\n\n"
      "{2} parameters. Prompt template: `{3}`.\n",
      base_name, adapter.method->name(), adapter.parameters.numel(), adapter.origin.template_text());
}

}  // namespace

void export_peft(const fs::path& folder, const LoadedAdapter& adapter, const PeftBase& on) {
  const std::string& recorded = adapter.origin.base_model_name_or_path;
  const std::string base = recorded.empty() ? on.name : recorded;
  const AdapterTerms terms(adapter);
  const bool prompts = terms.method() == "adapter";
  if (!prompts)
    require_lora_alone(terms, "peft: PEFT knows LoRA and LLaMA-Adapter's prompts, nothing of this kind");
  if (terms.has("visual side")) {
    throw UsageError(
        "export --format peft: PEFT's ADAPTION_PROMPT has no place for a visual side; run the adapter with "
        "`excitor generate MODEL --adapter DIR --image FILE`");
  }
  if (prompts) require_no_output_bias(adapter, on);
  const Json config = prompts ? adaption_prompt_config(terms, base) : lora_config(terms, adapter, base);
  const auto tensors = prompts ? adaption_prompt_tensors(terms, adapter) : lora_tensors(adapter);
  write_folder_atomically(folder, [&](const fs::path& temporary) {
    write_file_atomically(temporary / "adapter_config.json", config.dump(2) + "\n");
    write_safetensors(temporary / "adapter_model.safetensors", tensors, {{"format", "pt"}});
    write_file_atomically(temporary / "README.md", model_card(adapter, base));
  });
}

}  // namespace excitor
