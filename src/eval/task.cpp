#include <excitor/eval/task.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <excitor/util/error.h>
#include <excitor/util/settings.h>

#include "choice_task.h"
#include "perplexity_task.h"
#include "scienceqa_task.h"

namespace excitor {
namespace {

constexpr int64_t kMmluShots = 5;  // as in the paper (arXiv 2009.03300)

std::string name_of(const std::string& path) {
  const std::filesystem::path whole = std::filesystem::path(path).lexically_normal();
  const std::filesystem::path last = whole.has_filename() ? whole : whole.parent_path();
  return last.has_stem() ? last.stem().string() : path;
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
  return std::make_unique<ChoiceTask>(name_of(request.path), request.type, std::move(samples), rules);
}

std::unique_ptr<ScoredTask> load_science_task(const TaskRequest& request, const TaskOptions& options) {
  const ScienceFormat format = parse_science_format(options.scienceqa_format);
  ScienceSplit split = read_scienceqa(
      request.path,
      {.captions = options.scienceqa_captions, .shots = options.shots.value_or(0), .limit = options.limit});
  return std::make_unique<ScienceTask>(name_of(request.path), std::move(split), format,
                                       options.scoring.tokens_per_pass);
}

}  // namespace

std::vector<std::string> task_types() {
  return {"perplexity", "mmlu", "hellaswag", "scienceqa", "captions", "choices"};
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
    return std::make_unique<PerplexityTask>(name_of(request.path), request.path, options);
  if (request.type == "scienceqa") return load_science_task(request, options);
  if (request.type == "captions") {
    throw UsageError(
        "captions: this build cannot see images yet; write the captions with another program and score them "
        "with `excitor eval-captions --references COCO.json --results RESULTS.json`");
  }
  return load_choice_task(request, options);
}

}  // namespace excitor
