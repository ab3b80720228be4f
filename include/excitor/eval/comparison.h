// Base and tuned model beside each other: what was gained, and what was forgotten.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <excitor/eval/task.h>

namespace excitor {

/// A task's scores with the bypass off and on. Without a bypass both are the base's.
struct TaskComparison {
  std::string name;
  std::string type;
  int64_t samples = 0;
  Json layout;
  TaskScores base;
  TaskScores tuned;
  double seconds = 0;  ///< that both took together
};

/// Scores a prepared task: `scored` with its bypass, and without unless `base` is already known.
TaskComparison compare_on_task(const ScoredTask& task, const ScoredModel& scored,
                               const TaskScores* base = nullptr);

/// Loads nothing twice: prepares `tasks` for `scored` and scores them one after the other. This is what
/// `eval.tasks` of a training run calls too.
std::vector<TaskComparison> compare_on_tasks(const std::vector<std::unique_ptr<ScoredTask>>& tasks,
                                             const ScoredModel& scored);

/// {"name", "type", "samples", "metrics", "base_metrics", "intervals", "base_intervals", "change",
/// "change_intervals", "layout", "seconds"}: `change` is tuned less base, its interval that of the paired
/// differences.
Json comparison_json(const TaskComparison& comparison);
/// One object a sample and line: {"task", "sample", …, "prediction", "base_prediction", …}.
std::vector<std::string> prediction_lines(const TaskComparison& comparison);
/// The table for people: a row a metric, base and tuned beside each other, and what the change means.
std::string comparison_table(const std::vector<TaskComparison>& comparisons, bool has_bypass);

}  // namespace excitor
