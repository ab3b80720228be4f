// config.json of Hugging Face: reading and writing.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/model/llama_config.h>
#include <excitor/util/error.h>

#include "meta_config.h"
#include "model_folder.h"

namespace excitor {
namespace {

/// The keys of `all` that LlamaConfig has; a null keeps the default. Of the neutral ones model_type alone:
/// the others say how a stored model was made (its dropout, say), and files of all ages have them in all
/// forms.
Json known_keys(const Json& all) {
  LlamaConfig defaults;
  const auto neutral = list_paths([&](Describer& d) { defaults.neutral.describe(d); });
  Json known = Json::object();
  for (const auto& path : list_paths([&](Describer& d) { defaults.describe(d); })) {
    const bool is_history = path != "model_type" && std::ranges::find(neutral, path) != neutral.end();
    if (!is_history && all.contains(path) && !all[path].is_null()) known[path] = all[path];
  }
  if (all.contains("eos_token_id") && all["eos_token_id"].is_null()) known["eos_token_id"] = nullptr;
  return known;
}

/// Quantised weights mean nothing without scales and zero points, which each method stores in its own way.
void check_not_quantised(const Json& json, Problems& problems) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (!json.contains(key) || json[key].is_null() || (json[key].is_object() && json[key].empty())) continue;
    const Json method = json[key].is_object() ? json[key].value("quant_method", Json()) : Json();
    problems.add(key,
                 fmt::format("the weights are quantised ({}), and quantised checkpoints are not read; take "
                             "the folder of the unquantised model",
                             method.is_string() ? method.get<std::string>() : "method not named"));
  }
}

void check_required(const Json& json, Problems& problems) {
  for (const char* key :
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size"}) {
    if (!json.contains(key)) problems.add(key, "is missing");
  }
}

}  // namespace

LlamaConfig read_llama_config(const std::filesystem::path& folder) {
  if (model_folder_kind(folder) == ModelFolder::meta) return read_meta_config(folder);
  const std::filesystem::path path = folder / "config.json";
  const Json json = read_json_file(path);
  if (!json.is_object())
    throw CheckpointError(
        fmt::format("{}: found {}, expected an object", path.string(), describe_value(json)));
  Problems problems;
  check_required(json, problems);
  check_not_quantised(json, problems);
  LlamaConfig config;
  read_settings(
      known_keys(json), [&](Describer& d) { config.describe(d); }, {}, problems);
  config.check("", problems);
  problems.throw_if_any(path.string());
  return config;
}

std::vector<int64_t> read_end_ids(const std::filesystem::path& folder, const LlamaConfig& config) {
  std::vector<int64_t> ids = config.eos_ids();
  const auto path = folder / "generation_config.json";
  if (!std::filesystem::exists(path)) return ids;
  const Json json = read_json_file(path);
  if (!json.is_object() || !json.contains("eos_token_id") || json["eos_token_id"].is_null()) return ids;
  LlamaConfig listed = config;
  listed.eos_token_id = json["eos_token_id"];
  Problems problems;
  listed.check("", problems);
  problems.throw_if_any(path.string());
  for (const int64_t id : listed.eos_ids()) ids.push_back(id);
  return ids;
}

Json write_llama_config(const LlamaConfig& config, const std::string& dtype) {
  LlamaConfig copy = config;
  copy.neutral.architectures = Json::array({"LlamaForCausalLM"});
  copy.neutral.model_type = "llama";
  Json json = write_settings([&](Describer& d) { copy.describe(d); });
  json["num_key_value_heads"] = config.key_heads();
  json["head_dim"] = config.head_width();
  // Both spellings of the rotary settings, saying the same.
  const bool scaled = config.rope_scaling.is_object() && !config.rope_scaling.empty();
  Json rope = scaled                               ? config.rope_scaling
              : config.rope_parameters.is_object() ? config.rope_parameters
                                                   : Json::object();
  if (!rope.contains("rope_type")) rope["rope_type"] = rope.contains("type") ? rope["type"] : Json("default");
  const double theta = config.rope().theta;
  rope["rope_theta"] = theta;
  json["rope_theta"] = theta;
  json["rope_scaling"] = rope["rope_type"] == "default" ? Json(nullptr) : rope;
  json["rope_parameters"] = rope;
  json["torch_dtype"] = dtype;
  json["dtype"] = dtype;
  json["use_cache"] = true;
  return json;
}

}  // namespace excitor
