#include <excitor/methods/adapter_files.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/registry.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// Keys of adapter_config.json that are not settings of a method.
struct OriginKey {
  const char* key;
  std::string AdapterOrigin::*value;
};
constexpr OriginKey kOriginKeys[] = {{"base_model_name_or_path", &AdapterOrigin::base_model_name_or_path},
                                     {"base_fingerprint", &AdapterOrigin::base_fingerprint},
                                     {"tokenizer_sha256", &AdapterOrigin::tokenizer_sha256}};
constexpr const char* kTemplateKey = "prompt_template";
constexpr const char* kVisionKey = "vision";

Json adapter_config(Method& method, const AdapterOrigin& origin) {
  Json json = {{"peft_type", method.peft_type()}, {"task_type", "CAUSAL_LM"}, {"inference_mode", true}};
  for (const auto& [key, value] : kOriginKeys) {
    if (!(origin.*value).empty()) json[key] = origin.*value;
  }
  if (origin.prompt_template != "") json[kTemplateKey] = origin.prompt_template;
  if (origin.vision) {
    VisionOrigin vision = *origin.vision;
    json[kVisionKey] = write_settings([&](Describer& d) { vision.describe(d); });
  }
  json.update(write_settings([&](Describer& d) { method.describe(d); }));
  json["bos_eos_policy"] = "prompt = BOS + tokens; answer = tokens + EOS";
  return json;
}

std::string model_card(const Method& method, const AdapterOrigin& origin, int64_t parameters) {
  const std::string base = origin.base_model_name_or_path;
  return fmt::format(
      "---\n"
      "library_name: excitor\n"
      "base_model: {0}\n"
      "pipeline_tag: text-generation\n"
      "tags:\n- {1}\n"
      "---\n\n"
      "# {1} adapter\n\n"
      "{2} trainable parameters beside the frozen model `{0}`, prompt template `{3}`.\n\n"
      "    excitor generate {0} --adapter THIS_FOLDER --prompt \"…\"\n",
      base.empty() ? "unknown" : base, method.name(), parameters, origin.template_text());
}

/// The part of adapter_config.json that the method reads; PEFT's other keys do not matter here.
Json method_settings(const Json& config, Method& method) {
  Json settings = Json::object();
  for (const auto& key : list_paths([&](Describer& d) { method.describe(d); })) {
    if (config.contains(key)) settings[key] = config[key];
  }
  return settings;
}

std::optional<VisionOrigin> read_vision_origin(const Json& config, Problems& problems) {
  if (!config.contains(kVisionKey) || config[kVisionKey].is_null()) return std::nullopt;
  VisionOrigin vision;
  read_settings(
      config[kVisionKey], [&](Describer& d) { vision.describe(d); }, {.path = kVisionKey}, problems);
  return vision;
}

Json read_config_file(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw ConfigError(
        fmt::format("{}: no such adapter folder; expected adapter_config.json and adapter_model.safetensors",
                    folder.string()));
  }
  const fs::path path = folder / "adapter_config.json";
  if (!fs::exists(path))
    throw CheckpointError(
        fmt::format("{}: adapter_config.json is missing, so it is not an adapter", folder.string()));
  const Json config = read_json_file(path);
  if (!config.is_object() || !config.contains("peft_type") || !config["peft_type"].is_string()) {
    throw CheckpointError(fmt::format("{}: has no \"peft_type\"", path.string()));
  }
  return config;
}

void check_same(const fs::path& folder, const char* what, const std::string& recorded,
                const std::string& actual, bool force) {
  if (recorded.empty() || actual.empty() || recorded == actual) return;
  const std::string message =
      fmt::format("{}: was trained with another {} (recorded {:.12}…, this one {:.12}…)", folder.string(),
                  what, recorded, actual);
  if (!force) throw CheckpointError(message + "; give the right one, or --force to use it all the same");
  log::warning(message);
}

}  // namespace

std::string AdapterOrigin::template_text() const {
  return prompt_template.is_string() ? prompt_template.get<std::string>() : prompt_template.dump();
}

void save_adapter(const fs::path& folder, Method& method, const ParameterSet& parameters,
                  const AdapterOrigin& origin) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : parameters.entries()) tensors.push_back({name, tensor.detach()});
  write_folder_atomically(folder, [&](const fs::path& temporary) {
    write_file_atomically(temporary / "adapter_config.json", adapter_config(method, origin).dump(2) + "\n");
    write_safetensors(temporary / "adapter_model.safetensors", tensors, {{"format", "pt"}});
    write_file_atomically(temporary / "README.md", model_card(method, origin, parameters.numel()));
  });
}

AdapterSettings read_adapter_method(const fs::path& folder) {
  Json config = read_config_file(folder);
  AdapterSettings adapter;
  Problems problems;
  try {
    adapter.method = make_method_of_peft_type(config["peft_type"].get<std::string>());
  } catch (const Error& error) {
    problems.add("peft_type", error.what());
    problems.throw_if_any((folder / "adapter_config.json").string());
  }
  adapter.method->read_adapter_config(config, problems);
  read_settings(
      method_settings(config, *adapter.method), [&](Describer& d) { adapter.method->describe(d); }, {},
      problems);
  adapter.origin.vision = read_vision_origin(config, problems);
  problems.throw_if_any((folder / "adapter_config.json").string());
  for (const auto& [key, value] : kOriginKeys) {
    if (config.contains(key) && config[key].is_string())
      adapter.origin.*value = config[key].get<std::string>();
  }
  if (config.contains(kTemplateKey) && !config[kTemplateKey].is_null())
    adapter.origin.prompt_template = config[kTemplateKey];
  return adapter;
}

LoadedAdapter load_adapter(const fs::path& folder, const LlamaConfig& model,
                           const AdapterExpectation& expected, at::Device device) {
  AdapterSettings settings = read_adapter_method(folder);
  LoadedAdapter adapter{
      .method = std::move(settings.method), .parameters = {}, .origin = std::move(settings.origin)};
  Problems problems;
  adapter.method->check(model, "adapter", problems);
  problems.throw_if_any((folder / "adapter_config.json").string());
  check_same(folder, "base model", adapter.origin.base_fingerprint, expected.base_fingerprint,
             expected.force);
  check_same(folder, "tokenizer", adapter.origin.tokenizer_sha256, expected.tokenizer_sha256, expected.force);

  const fs::path file = adapter_tensor_file(folder);
  TensorsByName tensors = read_adapter_tensors(file);
  for (auto& [name, tensor] : tensors) tensor = tensor.to(device);
  adapter.parameters = match_parameters(adapter.method->parameters(model), tensors, file.string());
  return adapter;
}

}  // namespace excitor
