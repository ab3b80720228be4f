#include <excitor/eval/task.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <excitor/util/error.h>
#include <excitor/util/settings.h>

#include "caption_task.h"
#include "choice_task.h"
#include "perplexity_task.h"
#include "scienceqa_task.h"

namespace excitor {
namespace {

constexpr int64_t kMmluShots = 5;  // as in the paper (arXiv 2009.03300)

std::string name_of(const TaskRequest& request) {
  return request.name.empty() ? task_name(request.path) : request.name;
}

ScienceFormat parse_science_format(const std::string& name) {
  if (name == "QCM-A") return ScienceFormat::qcm_a;
  if (name == "QCM-LEA") return ScienceFormat::qcm_lea;
  throw UsageError(fmt::format("--format \"{}\": expected QCM-A or QCM-LEA", name));
}

std::unique_ptr<ScoredTask> load_choice_task(const TaskRequest& request, const TaskOptions& options) {
  std::vector<ChoiceSample> samples;
  if (request.type == "mmlu")
    samples = read_mmlu(request.path, options.shots.value_or(kMmluShots), options.limit);
  else if (request.type == "hellaswag")
    samples = read_hellaswag(request.path, options.limit);
  else
    samples = read_choices(request.path, options.limit);
  const ChoiceTask::Rules rules{.has_norm = request.type != "mmlu", .scoring = options.scoring};
  return std::make_unique<ChoiceTask>(name_of(request), request.type, std::move(samples), rules);
}

std::unique_ptr<ScoredTask> load_science_task(const TaskRequest& request, const TaskOptions& options) {
  const ScienceFormat format = parse_science_format(options.scienceqa_format);
  ScienceSplit split = read_scienceqa(
      request.path,
      {.captions = options.scienceqa_captions, .shots = options.shots.value_or(0), .limit = options.limit});
  std::vector<std::filesystem::path> images;
  std::vector<std::string> left_out;
  if (!options.images.folder.empty()) images = find_science_images(split.questions, options.images, left_out);
  auto task = std::make_unique<ScienceTask>(
      name_of(request), std::move(split),
      ScienceTask::Rules{.format = format, .tokens_per_pass = options.scoring.tokens_per_pass});
  task->show_images(std::move(images), std::move(left_out));
  return task;
}

std::unique_ptr<ScoredTask> load_caption_task(const TaskRequest& request, const TaskOptions& options) {
  if (options.images.folder.empty()) {
    throw UsageError(fmt::format(
        "captions={}: where are its images? give their folder with --images DIR, or score captions "
        "that are written already with `excitor eval-captions`",
        request.path));
  }
  auto referenced = read_coco_references(request.path, options.split);
  if (options.limit && std::ssize(referenced) > *options.limit)
    referenced.resize(static_cast<size_t>(*options.limit));
  auto images = find_referenced_images(referenced, options.images.folder);
  const auto left_out = drop_bad_images(images, options.images.on_bad_image);
  return std::make_unique<CaptionTask>(
      name_of(request), std::move(images), left_out,
      CaptionTask::Question{.instruction = options.caption_instruction,
                            .prompt_template = options.prompt_template,
                            .tokens_per_pass = options.scoring.tokens_per_pass});
}

}  // namespace

std::vector<std::string> task_types() {
  return {"perplexity", "mmlu", "hellaswag", "scienceqa", "captions", "choices"};
}

std::string task_name(const std::string& path) {
  const std::filesystem::path whole = std::filesystem::path(path).lexically_normal();
  const std::filesystem::path last = whole.has_filename() ? whole : whole.parent_path();
  return last.has_stem() ? last.stem().string() : path;
}

TaskRequest parse_task(const std::string& text) {
  const std::vector<std::string> types = task_types();
  const size_t equals = text.find('=');
  const std::string type = text.substr(0, equals);
  if (std::ranges::find(types, type) == types.end()) {
    const std::string near = nearest_name(type, types);
    throw UsageError(fmt::format("--task {}: there is no task type \"{}\"{}; known: {}", text, type,
                                 near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near),
                                 fmt::join(types, ", ")));
  }
  if (equals == std::string::npos || equals + 1 == text.size())
    throw UsageError(fmt::format("--task {0}: expected {1}=PATH, found no path", text, type));
  return {.type = type, .path = text.substr(equals + 1)};
}

std::unique_ptr<ScoredTask> load_task(const TaskRequest& request, const TaskOptions& options) {
  if (request.type == "perplexity")
    return std::make_unique<PerplexityTask>(name_of(request), request.path, options);
  if (request.type == "scienceqa") return load_science_task(request, options);
  if (request.type == "captions") return load_caption_task(request, options);
  return load_choice_task(request, options);
}

}  // namespace excitor
