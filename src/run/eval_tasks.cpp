#include <excitor/run/eval_tasks.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace excitor {
namespace {

std::string place_of(size_t index, const char* key = "") {
  return fmt::format("eval.tasks[{}]{}", index, key);
}

void check_type(const EvalTaskSettings& task, const std::string& place, Problems& problems) {
  const std::vector<std::string> types = task_types();
  if (std::ranges::find(types, task.type) != types.end()) return;
  const std::string near = nearest_name(task.type, types);
  problems.add(place, fmt::format("there is no task type \"{}\"{}; known: {}", task.type,
                                  near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near),
                                  fmt::join(types, ", ")));
}

/// Options that the type would pass over are mistakes.
void check_options(const EvalTaskSettings& task, size_t index, Problems& problems) {
  const bool is_science = task.type == "scienceqa", is_captions = task.type == "captions";
  if (!is_captions && task.split != EvalTaskSettings().split)
    problems.add(place_of(index, ".split"), "only captions has splits; leave it out");
  if (task.shots && !is_science && task.type != "mmlu")
    problems.add(place_of(index, ".shots"), "only mmlu and scienceqa have shots; leave it out");
  if (!is_science && !task.captions.empty())
    problems.add(place_of(index, ".captions"), "only scienceqa puts captions in the place of images");
  if (task.format != "QCM-A" && task.format != "QCM-LEA")
    problems.add(place_of(index, ".format"),
                 fmt::format("found \"{}\", expected \"QCM-A\" or \"QCM-LEA\"", task.format));
}

void check_images(const EvalTaskSettings& task, size_t index, bool sees, Problems& problems) {
  const bool is_captions = task.type == "captions";
  if (task.images.empty()) {
    if (is_captions) problems.add(place_of(index, ".images"), "is missing: the folder of the images");
    return;
  }
  if (!is_captions && task.type != "scienceqa")
    problems.add(place_of(index, ".images"), "only captions and scienceqa have images; leave it out");
  else if (!sees)
    problems.add(place_of(index, ".images"),
                 "nothing sees images in this run; give the section vision, with the folder of a CLIP tower");
}

}  // namespace

void expand_tasks(Json& config) {
  if (!config.contains("eval") || !config["eval"].is_object() || !config["eval"].contains("tasks")) return;
  Json& tasks = config["eval"]["tasks"];
  if (!tasks.is_array()) return;
  for (Json& task : tasks) {
    if (!task.is_string()) continue;
    const auto text = task.get<std::string>();
    const size_t equals = text.find('=');
    task = {{"type", text.substr(0, equals)},
            {"path", equals == std::string::npos ? "" : text.substr(equals + 1)}};
  }
}

void check_tasks(std::vector<EvalTaskSettings>& tasks, bool sees, Problems& problems) {
  std::map<std::string, size_t> names;
  for (size_t i = 0; i < tasks.size(); ++i) {
    EvalTaskSettings& task = tasks[i];
    check_type(task, place_of(i), problems);
    check_options(task, i, problems);
    check_images(task, i, sees, problems);
    if (task.path.empty()) {
      problems.add(place_of(i), "has no path; write {\"type\": …, \"path\": …} or \"TYPE=PATH\"");
      continue;
    }
    if (task.name.empty()) task.name = task_name(task.path);
    const auto [first, is_new] = names.try_emplace(task.name, i);
    if (!is_new)
      problems.add(place_of(i),
                   fmt::format("has the name \"{}\" of eval.tasks[{}]; give it a \"name\" of its own",
                               task.name, first->second));
  }
}

void check_task_files(const std::vector<EvalTaskSettings>& tasks, Problems& missing) {
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (!tasks[i].path.empty() && !std::filesystem::exists(tasks[i].path))
      missing.add(place_of(i, ".path"), "no such file or folder: " + tasks[i].path);
    if (!tasks[i].captions.empty() && !std::filesystem::exists(tasks[i].captions))
      missing.add(place_of(i, ".captions"), "no such file: " + tasks[i].captions);
    if (!tasks[i].images.empty() && !std::filesystem::is_directory(tasks[i].images))
      missing.add(place_of(i, ".images"), "no such folder: " + tasks[i].images);
  }
}

ScoredTasks load_tasks(const std::vector<EvalTaskSettings>& settings, const DataSettings& data,
                       const Tokenizer& tokenizer, int64_t context_length) {
  ScoredTasks tasks;
  for (const EvalTaskSettings& task : settings) {
    tasks.push_back(load_task({.type = task.type, .path = task.path, .name = task.name},
                              {.limit = task.limit,
                               .shots = task.shots,
                               .scienceqa_format = task.format,
                               .scienceqa_captions = task.captions,
                               .images = {.folder = task.images, .on_bad_image = data.on_bad_image},
                               .caption_instruction = data.caption_instruction,
                               .prompt_template = data.prompt_template,
                               .split = task.split,
                               .scoring = {}}));
    tasks.back()->prepare(tokenizer, context_length);
  }
  return tasks;
}

}  // namespace excitor
