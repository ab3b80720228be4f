// Read against PEFT 0.21.2, src/peft/tuners/lora/config.py and layer.py.
#include "peft_lora_config.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/target_modules.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

namespace excitor {
namespace {

/// Settings with which PEFT computes something else; only their neutral values can be read.
constexpr std::string_view kNotComputed[] = {"alora_invocation_tokens",
                                             "arrow_config",
                                             "bias",
                                             "kasa_config",
                                             "layer_replication",
                                             "lora_bias",
                                             "modules_to_save",
                                             "monteclora_config",
                                             "target_parameters",
                                             "trainable_token_indices",
                                             "use_bdlora",
                                             "use_dora",
                                             "use_qalora",
                                             "velora_config"};

/// Settings that say where an adapter comes from, how it was initialised or trained, or that mean something
/// only beside one of kNotComputed. PEFT itself sets fan_in_fan_out to false for the linears of a LLaMA.
constexpr std::string_view kWithoutEffect[] = {
    "auto_mapping",   "base_model_name_or_path", "corda_config",   "ensure_weight_tying",
    "eva_config",     "fan_in_fan_out",          "inference_mode", "loftq_config",
    "lora_ga_config", "megatron_config",         "megatron_core",  "peft_type",
    "peft_version",   "qalora_group_size",       "revision",       "runtime_config",
    "task_type"};

/// The settings that method lora has too, or that are translated below.
constexpr std::string_view kTranslated[] = {
    "alpha_pattern",       "exclude_modules", "init_lora_weights", "layers_pattern",
    "layers_to_transform", "lora_alpha",      "lora_dropout",      "r",
    "rank_pattern",        "target_modules",  "use_rslora"};

/// What this program writes beside them.
constexpr std::string_view kOurs[] = {"base_fingerprint", "bos_eos_policy", "prompt_template",
                                      "tokenizer_sha256", "vision"};

template <size_t N>
bool holds(const std::string_view (&keys)[N], std::string_view key) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

/// What every switch of PEFT has when it is off.
bool is_neutral(const Json& value) {
  return value.is_null() || value == false || value == "none" || value == "" ||
         ((value.is_object() || value.is_array()) && value.empty());
}

void check_keys(const Json& config, Problems& problems) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : config.items()) {
    if (is_neutral(value)) continue;
    if (holds(kNotComputed, key)) {
      problems.add(key, fmt::format("is {}, which is not computed; only null, false or empty can be read",
                                    value.dump()));
    } else if (!holds(kWithoutEffect, key) && !holds(kTranslated, key) && !holds(kOurs, key)) {
      unknown.push_back(key);
    }
  }
  if (unknown.empty()) return;
  log::warning(fmt::format(
      "adapter_config.json: passed over, since no such setting of PEFT's LoRA is known: {}; if one of them "
      "changes what is computed, the answers are not those that the adapter was trained for",
      fmt::join(unknown, ", ")));
}

/// Some initialisations take what the adapter begins with out of the base, and PEFT does so again whenever it
/// loads the adapter: the tensors alone are then not the change.
void check_initialisation(const Json& config, Problems& problems) {
  if (!config.contains("init_lora_weights")) return;
  const Json& value = config["init_lora_weights"];
  if (value.is_null() || value.is_boolean()) return;
  std::string word = value.is_string() ? value.get<std::string>() : "";
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  static const std::set<std::string> kKeepsTheBase = {"gaussian", "eva", "orthogonal", "mica"};
  if (kKeepsTheBase.contains(word)) return;
  problems.add(
      "init_lora_weights",
      fmt::format(
          "is {}: expected true, false, gaussian, eva, orthogonal or mica. PiSSA, OLoRA, CorDA, LoftQ and "
          "LoRA-GA change the base's weights when PEFT loads the adapter, so its tensors mean nothing beside "
          "the base as it is. Convert it with PEFT: save_pretrained(FOLDER, "
          "path_initial_model_for_weight_conversion=\"INITIAL_ADAPTER\"), where INITIAL_ADAPTER was saved "
          "before the training",
          value.dump()));
}

/// Patterns that name the list of a LLaMA's layers say nothing more; with any other, PEFT finds no layer.
void check_layers_pattern(const Json& config, Problems& problems) {
  const Json& given = config.contains("layers_pattern") ? config["layers_pattern"] : Json();
  if (is_neutral(given)) return;
  const std::vector<Json> patterns = given.is_array() ? given.get<std::vector<Json>>() : std::vector{given};
  for (const Json& pattern : patterns) {
    if (!pattern.is_string()) continue;
    try {
      const Regex expression("(?:.*?\\.)?" + pattern.get<std::string>() + "\\.0\\..*");
      if (expression.matches_fully("model.layers.0.self_attn.q_proj")) return;
    } catch (const ConfigError& error) {
      problems.add("layers_pattern", error.what());
    }
  }
  problems.add("layers_pattern",
               fmt::format("is {}, expected \"layers\", which is what a LLaMA's are called", given.dump()));
}

/// Modules that PEFT adapts and method lora does not.
void check_targets(const Json& config, Problems& problems) {
  if (config["target_modules"] == "all-linear") return;
  Problems reported_when_read;
  const ModuleNames targets(config["target_modules"], "target_modules", reported_when_read);
  const ModuleNames excluded(config.value("exclude_modules", Json()), "exclude_modules", reported_when_read);
  for (const char* module : {"lm_head", "model.embed_tokens"}) {
    if (!targets.contains(module) || excluded.contains(module)) continue;
    problems.add("target_modules", fmt::format("chooses {}; only the linears of the layers can have a LoRA "
                                               "here, not the embedding and the output layer",
                                               module));
  }
}

}  // namespace

void read_peft_lora_config(Json& config, Problems& problems) {
  constexpr int64_t kPeftDefault = 8;
  for (const char* key : {"r", "lora_alpha"}) {
    if (!config.contains(key)) config[key] = kPeftDefault;
  }
  if (!config.contains("target_modules") || config["target_modules"].is_null())
    config["target_modules"] = {"q_proj", "v_proj"};
  check_keys(config, problems);
  check_initialisation(config, problems);
  check_layers_pattern(config, problems);
  check_targets(config, problems);
  for (const char* key : {"rank_pattern", "alpha_pattern"}) {
    if (config.contains(key) && config[key].is_null()) config.erase(key);
  }
}

}  // namespace excitor
