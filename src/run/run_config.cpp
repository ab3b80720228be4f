#include <excitor/run/run_config.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/methods/adapter_files.h>
#include <excitor/methods/registry.h>
#include <excitor/run/eval_tasks.h>
#include <excitor/tokenizer/prompt_template.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/settings.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

std::vector<std::pair<std::string, std::string>> as_words(const std::vector<std::string>& words) {
  std::vector<std::pair<std::string, std::string>> table;
  for (const std::string& word : words) table.emplace_back(word, word);
  return table;
}

const std::vector<std::pair<std::string, std::string>>& dtype_words() {
  static const auto kWords = as_words({"auto", "float32", "bfloat16", "float16"});
  return kWords;
}

/// fp32, bf16 and fp16 are accepted for the long names.
void expand_dtype(Json& section, const char* key) {
  if (!section.is_object() || !section.contains(key) || !section[key].is_string()) return;
  const std::string word = section[key].get<std::string>();
  if (word == "fp32") section[key] = "float32";
  if (word == "bf16") section[key] = "bfloat16";
  if (word == "fp16") section[key] = "float16";
}

void make_absolute(std::string& path, const fs::path& folder) {
  if (!path.empty()) path = (folder / path).lexically_normal().string();
}

void resolve_paths(RunConfig& config, const fs::path& folder) {
  make_absolute(config.model.path, folder);
  make_absolute(config.model.tokenizer, folder);
  make_absolute(config.method.adapter_path, folder);
  make_absolute(config.output_dir, folder);
  if (config.vision) make_absolute(config.vision->path, folder);
  if (config.data.cache_dir != "auto" && config.data.cache_dir != "none")
    make_absolute(config.data.cache_dir, folder);
  if (config.eval.forgetting) make_absolute(config.eval.forgetting->path, folder);
  for (EvalTaskSettings& task : config.eval.tasks) {
    make_absolute(task.path, folder);
    make_absolute(task.captions, folder);
    make_absolute(task.images, folder);
  }
  for (std::string& image : config.eval.sample_images) make_absolute(image, folder);
  for (auto* files : {&config.data.train, &config.data.validation}) {
    for (auto& file : *files) {
      make_absolute(file.path, folder);
      make_absolute(file.images, folder);
      const bool is_science_folder = file.format.starts_with("scienceqa") && fs::is_directory(file.path);
      if (is_science_folder) file.path = (fs::path(file.path) / "problems.json").string();
    }
  }
  for (auto& file : config.data.validation) {
    if (has_splits(file.format) && file.split == "auto") file.split = "val";
  }
}

void check_model(const ModelSettings& model, Problems& problems) {
  if (model.path.empty() && !model.init)
    problems.add("model.path", "is missing: give the folder of a model, or model.init for random weights");
  if (!model.path.empty() && model.init)
    problems.add("model.init", "stands beside model.path; give one of them");
  if (model.init && model.tokenizer.empty())
    problems.add("model.tokenizer", "is missing: random weights come without a tokenizer");
  if (model.init) model.init->check("model.init", problems);
}

void check_data(const DataSettings& data, Problems& problems) {
  const bool reported = std::any_of(problems.lines().begin(), problems.lines().end(),
                                    [](const std::string& line) { return line.starts_with("data.train"); });
  if (data.train.empty() && !reported) problems.add("data.train", "is missing: a list of {\"path\": …}");
  try {
    PromptTemplate{data.prompt_template};
  } catch (const ConfigError& error) {
    problems.add("data.prompt_template", error.what());
  }
  if (data.cache_dir.empty()) problems.add("data.cache_dir", "is empty; give a folder, \"auto\" or \"none\"");
  for (size_t i = 0; i < data.validation.size(); ++i) {
    if (data.validation[i].weight != 1)
      problems.add(fmt::format("data.validation[{}].weight", i), "only files to train on have a weight");
  }
  if (data.val_size > 0 && !data.validation.empty())
    problems.add("data.val_size", "stands beside data.validation; give one of them");
}

void check_data_file(const std::string& path, const std::string& key, Problems& problems) {
  if (path.empty())
    problems.add(key, "is missing");
  else if (fs::is_directory(path))
    problems.add(key, "is a folder, expected a file: " + path);
  else if (!fs::is_regular_file(path))
    problems.add(key, "no such file: " + path);
}

/// Models and data that are named and not there.
void check_files(const RunConfig& config, Problems& problems) {
  const ModelSettings& model = config.model;
  if (!model.path.empty() && !fs::is_directory(model.path))
    problems.add("model.path", "no such folder: " + model.path);
  if (!model.tokenizer.empty() && !fs::exists(model.tokenizer))
    problems.add("model.tokenizer", "no such file: " + model.tokenizer);
  for (const auto& [name, files] :
       {std::pair{"data.train", &config.data.train}, std::pair{"data.validation", &config.data.validation}}) {
    for (size_t i = 0; i < files->size(); ++i)
      check_data_file((*files)[i].path, fmt::format("{}[{}].path", name, i), problems);
  }
  if (config.eval.forgetting) check_data_file(config.eval.forgetting->path, "eval.forgetting.path", problems);
  check_task_files(config.eval.tasks, problems);
  for (size_t i = 0; i < config.eval.sample_images.size(); ++i)
    check_data_file(config.eval.sample_images[i], fmt::format("eval.sample_images[{}]", i), problems);
}

void check_train(const TrainSettings& train, Problems& problems) {
  if (train.min_learning_rate > train.learning_rate)
    problems.add("train.min_learning_rate", "is above train.learning_rate");
  if (train.global_batch_size && *train.global_batch_size % train.micro_batch_size != 0) {
    problems.add("train.global_batch_size", fmt::format("{} is not a multiple of train.micro_batch_size {}",
                                                        *train.global_batch_size, train.micro_batch_size));
  }
}

void check_profile(const std::optional<ProfileSettings>& profile, Problems& problems) {
  if (!profile || profile->last_step >= profile->first_step) return;
  problems.add("logging.profile.last_step",
               fmt::format("found {}, before first_step {}", profile->last_step, profile->first_step));
}

void check_all(RunConfig& config, Problems& problems) {
  check_model(config.model, problems);
  check_data(config.data, problems);
  check_train(config.train, problems);
  check_tasks(config.eval.tasks, config.vision.has_value(), problems);
  check_profile(config.logging.profile, problems);
  config.distributed.check(problems);
  if (config.output_dir.empty())
    problems.add("output_dir", "is missing: the folder that the run is written to");
  const bool full = config.method.method->trains_whole_model();
  if (full && config.distributed.shard_base) {
    problems.add(
        "distributed.shard_base",
        "only a frozen base is held in parts, and method full trains it; use false or another method");
  }
  if (full && !config.method.adapter_path.empty())
    problems.add("method.adapter_path", "method full starts from no adapter; set model.path");
  if (!full && config.model.init)
    log::warning(
        "model.init: an adapter is trained beside random weights, which are not saved: it can be used only "
        "by "
        "runs with the same model.init and train.seed (method full trains and saves random weights)");
  if (config.data.val_size == 0 && config.data.validation.empty()) {
    const std::string lacks =
        "needs an eval loss, and there is nothing to evaluate on: set data.val_size or data.validation";
    if (config.eval.early_stopping_patience) problems.add("eval.early_stopping_patience", lacks);
    if (config.checkpoint.load_best_model_at_end) problems.add("checkpoint.load_best_model_at_end", lacks);
  }
}

}  // namespace

void ModelSettings::describe(Describer& d) {
  d.field("path", path, "Folder of the frozen model (Hugging Face: config.json and safetensors).");
  d.choice("dtype", dtype, dtype_words(),
           "Type of the frozen weights; auto: float32 on a CPU, the stored type on a GPU.");
  d.optional_object("init", init, "Random weights of this shape instead of path (keys of LlamaConfig).");
  d.field("tokenizer", tokenizer, "Tokenizer file or folder; default: the one in path.");
}

LlamaConfig ModelSettings::shape() const {
  return init ? *init : read_llama_config(path);
}

const std::string& ModelSettings::tokenizer_path() const {
  return tokenizer.empty() ? path : tokenizer;
}

void MethodSettings::describe(Describer& d) {
  d.choice("type", type, as_words(method_names()), "What is trained beside the frozen model.");
  d.field("adapter_path", adapter_path,
          "Start from the weights of this adapter folder; the other settings are then the adapter's.");
  d.choice("save_dtype", save_dtype, dtype_words(),
           "Method full: type of the written weights; auto: the type they were loaded in.");
  if (method) method->describe(d);
}

void RunConfig::describe(Describer& d) {
  d.object("model", model, "The frozen model.");
  d.object("method", method, "The bypass and its settings.");
  d.optional_object("vision", vision, "The frozen CLIP tower that sees the images; absent: texts alone.");
  d.object("data", data, "Training data.");
  d.object("train", train, "Optimisation.");
  d.object("eval", eval, "Evaluation while training.");
  d.object("checkpoint", checkpoint, "Checkpoints and resuming.");
  d.object("logging", logging, "Records.");
  d.object("distributed", distributed, "Devices and processes.");
  d.field("output_dir", output_dir, "Folder that the run is written to.");
}

namespace {

/// Settings of the section that say something else than the adapter that it starts from.
void add_contradictions(const Json& section, const std::string& folder, Method& method, Problems& problems) {
  Json adapter = write_settings([&](Describer& d) { method.describe(d); });
  adapter["type"] = method.name();
  for (const auto& [key, value] : section.items()) {
    if (!adapter.contains(key) || adapter[key] == value) continue;
    problems.add(
        "method." + key,
        fmt::format("found {}, but the adapter in {} has {}; leave the key out or start without adapter_path",
                    value.dump(), folder, adapter[key].dump()));
  }
}

/// The text under `key`; "" where there is none.
std::string text_of(const Json& section, const char* key) {
  return section.contains(key) && section[key].is_string() ? section[key].get<std::string>() : std::string();
}

bool starts_from_adapter(const Json& method) {
  return !text_of(method, "adapter_path").empty();
}

/// The method that the section's `type` names, or the adapter's with its settings when the section starts
/// from one.
std::shared_ptr<Method> choose_method(const Json& root, const fs::path& folder, MethodSettings& settings,
                                      Problems& problems) {
  const Json section =
      root.contains("method") && root["method"].is_object() ? root["method"] : Json::object();
  std::shared_ptr<Method> method;
  if (starts_from_adapter(section)) {
    std::string path = text_of(section, "adapter_path");
    make_absolute(path, folder);
    method = read_adapter_method(path).method;
    settings.type = method->name();
    add_contradictions(section, path, *method, problems);
    return method;
  }
  const std::vector<std::string> names = method_names();
  const std::string type = text_of(section, "type");
  return make_method(std::find(names.begin(), names.end(), type) != names.end() ? type : settings.type);
}

/// Takes out of the section what is a setting of other methods only, so that a sweep over method.type alone
/// is a valid configuration at every point.
void set_aside_other_methods_settings(Json& section, Method& chosen) {
  const auto settings_of = [](Method& method) {
    return list_paths([&](Describer& d) { method.describe(d); });
  };
  const std::vector<std::string> own = settings_of(chosen);
  for (const std::string& name : method_names()) {
    for (const std::string& key : settings_of(*make_method(name))) {
      if (!section.contains(key) || std::find(own.begin(), own.end(), key) != own.end()) continue;
      log::warning(fmt::format("method.{} is a setting of {}; {} has none of that name and leaves it aside",
                               key, name, chosen.name()));
      section.erase(key);
    }
  }
}

}  // namespace

RunConfig read_run_config(const fs::path& file, const std::vector<std::string>& overrides) {
  Problems problems;
  RunConfig config = read_run_config(file, overrides, problems);
  problems.throw_if_any(file.string());
  return config;
}

Json read_config_json(const fs::path& file, const std::vector<std::string>& overrides) {
  if (fs::is_directory(file))
    throw ConfigError(fmt::format("{}: is a folder; give the configuration file itself", file.string()));
  if (!fs::is_regular_file(file))
    throw ConfigError(fmt::format("{}: no such configuration file", file.string()));
  Json json = read_json_file(file, JsonDialect::with_comments);
  if (!json.is_object())
    throw ConfigError(fmt::format("{}: found {}, expected an object", file.string(), describe_value(json)));
  for (const std::string& text : overrides) apply_override(json, text);
  return json;
}

RunConfig read_run_config(const fs::path& file, const std::vector<std::string>& overrides,
                          Problems& missing) {
  Json json = read_config_json(file, overrides);
  if (json.contains("sweep") && !json["sweep"].is_null())
    log::warning("the section sweep is for excitor sweep and passed over: this is one run without it");
  json.erase("sweep");
  Problems problems, absent;
  RunConfig config = read_run_config(std::move(json), file, problems, absent);
  if (!problems.empty()) problems.append(absent);
  problems.throw_if_any(file.string());
  missing.append(absent);
  return config;
}

RunConfig read_run_config(Json json, const fs::path& file, Problems& problems, Problems& missing) {
  if (json.contains("model")) expand_dtype(json["model"], "dtype");
  if (json.contains("method")) expand_dtype(json["method"], "save_dtype");
  expand_tasks(json);
  if (json.contains("vision")) expand_dtype(json["vision"], "dtype");

  const fs::path folder = fs::absolute(file).parent_path();
  RunConfig config;
  config.source = file.string();
  config.method.method = choose_method(json, folder, config.method, problems);
  if (json.contains("method") && json["method"].is_object() && !starts_from_adapter(json["method"]))
    set_aside_other_methods_settings(json["method"], *config.method.method);
  const auto describe = [&](Describer& d) { config.describe(d); };
  const auto known_paths = list_paths(describe);
  read_settings(json, describe,
                {.path = "", .spellings = &other_trainers_spellings(), .known_paths = &known_paths},
                problems);
  resolve_paths(config, folder);
  check_all(config, problems);
  check_vision(config, problems, missing);
  check_files(config, missing);
  return config;
}

MicroBatchLimits micro_batch_limits(const RunConfig& config) {
  const int64_t tokens = config.train.micro_batch_size * config.data.max_seq_length;
  return {.packing = config.data.packing,
          .max_examples = config.train.micro_batch_size,
          .max_tokens = config.train.micro_batch_tokens.value_or(tokens)};
}

Json write_run_config(RunConfig& config) {
  return write_settings([&](Describer& d) { config.describe(d); });
}

Json run_config_schema() {
  RunConfig config;
  Json schema = settings_schema([&](Describer& d) { config.describe(d); });
  Json variants = Json::array();
  for (const std::string& name : method_names()) {
    MethodSettings section;
    section.type = name;
    section.method = make_method(name);
    Json variant = settings_schema([&](Describer& d) { section.describe(d); });
    variant["properties"]["type"] = {{"const", name}};
    if (name != config.method.type) variant["required"] = {"type"};
    variants.push_back(std::move(variant));
  }
  Json& prompt_template = schema["properties"]["data"]["properties"]["prompt_template"];
  prompt_template["oneOf"] = {{{"enum", PromptTemplate::known_names()}}, PromptTemplate::object_schema()};
  Json& task = schema["properties"]["eval"]["properties"]["tasks"]["items"];
  task = {{"oneOf", {task, {{"type", "string"}, {"pattern", "^[a-z]+=."}}}}};
  schema["properties"]["method"] = {{"description", "The bypass and its settings."},
                                    {"oneOf", std::move(variants)}};
  return schema;
}

std::string run_config_reference() {
  RunConfig config;
  std::string page =
      "# Every key of a configuration\n\n" + settings_reference([&](Describer& d) { config.describe(d); });
  for (const std::string& name : method_names()) {
    MethodSettings section;
    section.type = name;
    section.method = make_method(name);
    page += fmt::format("\n## `method` of type `{}`\n\n", name) +
            settings_reference([&](Describer& d) { section.describe(d); });
  }
  return page +
         "\n## `data.prompt_template` as an object\n\n"
         "Its texts hold the places named below; `{eos}` may stand anywhere. BOS stands first in any case; "
         "`{bos}` at the beginning of later_prompt puts one in front of each later turn. alpaca-lora's "
         "template "
         "files are such objects. `excitor generate --template FILE.json` takes one too.\n\n" +
         PromptTemplate::object_reference();
}

}  // namespace excitor
