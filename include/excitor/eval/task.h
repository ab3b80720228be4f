// A benchmark: its samples, read and checked before any weight is loaded, and what a model makes of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/eval/scoring.h>
#include <excitor/util/json.h>
#include <excitor/vision/bad_images.h>

namespace excitor {

/// What one side, the base or the tuned model, achieved.
struct TaskScores {
  /// Name -> number ("accuracy", "loss", "unreadable"), or name -> object of numbers ("by_subject").
  Json metrics = Json::object();
  /// Name of a metric -> [low, high]: the 95 % confidence interval.
  Json intervals = Json::object();
  /// One object a sample, in the file's order.
  std::vector<Json> samples;
  /// Name of a metric -> the value of each sample, whose mean the metric is: for intervals of differences.
  std::vector<std::pair<std::string, std::vector<double>>> outcomes;
};

class ScoredTask {
 public:
  ScoredTask(std::string name, std::string type) : name_(std::move(name)), type_(std::move(type)) {}
  virtual ~ScoredTask() = default;

  const std::string& name() const { return name_; }
  const std::string& type() const { return type_; }
  /// Tokenises for a model of so many positions. Called once, before the others.
  virtual void prepare(const Tokenizer& tokenizer, int64_t context_length) = 0;
  virtual int64_t samples() const = 0;
  /// The image files that a bypass that sees is shown; an empty path where a sample has none.
  virtual std::vector<std::filesystem::path> images() const { return {}; }
  /// How the samples were laid out: {"shots", "samples_with_fewer_shots", "samples_cut", …}.
  virtual Json layout() const = 0;
  /// Throws as score_choices.
  virtual TaskScores score(const ScoredModel& scored) const = 0;

 private:
  std::string name_;
  std::string type_;
};

/// One --task of the command line.
struct TaskRequest {
  std::string type;  ///< see task_types()
  std::string path;
  std::string name = {};  ///< empty: task_name(path)
};

/// How tasks with images (captions, scienceqa) find and show them.
struct TaskImages {
  std::string folder;  ///< empty: the model reads texts alone, and captions can't be scored
  OnBadImage on_bad_image = OnBadImage::fail;
};

struct TaskOptions {
  std::optional<int64_t> limit;            ///< the first so many samples of each task
  std::optional<int64_t> shots;            ///< mmlu (default 5) and scienceqa (default 0)
  std::string scienceqa_format = "QCM-A";  ///< or "QCM-LEA"
  std::string scienceqa_captions;          ///< captions.json whose texts stand for the images; empty: none
  TaskImages images;
  std::string caption_instruction;  ///< what captions asks
  Json prompt_template = "plain";   ///< how captions asks it
  std::string split = "test";       ///< of Karpathy's references (captions)
  ScoringLimits scoring;
};

/// "perplexity", "mmlu", …
std::vector<std::string> task_types();

/// The last part of a path without the extension: "data/arc_easy.jsonl" -> "arc_easy".
std::string task_name(const std::string& path);

/// Splits "TYPE=PATH". Throws UsageError: no '=', an unknown type (with the one that may be meant), no path.
TaskRequest parse_task(const std::string& text);

/// Reads and checks the files of a task. Throws ConfigError for files that are missing, DataError that names
/// file and line of what is wrong in them, UsageError for options that the task has no use for.
std::unique_ptr<ScoredTask> load_task(const TaskRequest& request, const TaskOptions& options);

}  // namespace excitor
