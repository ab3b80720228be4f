#include <excitor/eval/comparison.h>

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include <excitor/util/log.h>

#include "intervals.h"

namespace excitor {
namespace {

/// What of a sample belongs to the sample itself, not to a side.
bool is_common(const std::string& key) {
  return key == "sample" || key == "answer" || key == "tokens";
}

/// The differences of the numbers that both sides have.
Json changes(const TaskComparison& comparison) {
  Json change = Json::object();
  for (const auto& [name, value] : comparison.tuned.metrics.items()) {
    if (value.is_number_float() && comparison.base.metrics.contains(name))
      change[name] = value.get<double>() - comparison.base.metrics[name].get<double>();
  }
  return change;
}

/// The intervals of the means of paired differences.
Json change_intervals(const TaskComparison& comparison) {
  Json intervals = Json::object();
  for (size_t i = 0; i < comparison.tuned.outcomes.size(); ++i) {
    const auto& [name, tuned] = comparison.tuned.outcomes[i];
    std::vector<double> difference = tuned;
    const std::vector<double>& base = comparison.base.outcomes[i].second;
    for (size_t s = 0; s < difference.size(); ++s) difference[s] -= base[s];
    const auto [low, high] = normal_interval(difference);
    intervals[name] = {low, high};
  }
  return intervals;
}

}  // namespace

TaskComparison compare_on_task(const ScoredTask& task, const ScoredModel& scored, const TaskScores* base) {
  const auto start = std::chrono::steady_clock::now();
  ScoredModel frozen = scored;
  frozen.bypass = nullptr;
  TaskComparison comparison{
      .name = task.name(), .type = task.type(), .samples = task.samples(), .layout = task.layout()};
  comparison.base = base ? *base : task.score(frozen);
  comparison.tuned = scored.bypass ? task.score(scored) : comparison.base;
  comparison.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return comparison;
}

std::vector<TaskComparison> compare_on_tasks(const std::vector<std::unique_ptr<ScoredTask>>& tasks,
                                             const ScoredModel& scored) {
  std::vector<TaskComparison> comparisons;
  for (const auto& task : tasks) {
    task->prepare(scored.tokenizer, scored.model.config().max_position_embeddings);
    comparisons.push_back(compare_on_task(*task, scored));
    log::info(fmt::format("{} ({}): {} samples in {:.1f} s", task->name(), task->type(), task->samples(),
                          comparisons.back().seconds));
  }
  return comparisons;
}

Json comparison_json(const TaskComparison& comparison) {
  return {{"name", comparison.name},
          {"type", comparison.type},
          {"samples", comparison.samples},
          {"metrics", comparison.tuned.metrics},
          {"base_metrics", comparison.base.metrics},
          {"intervals", comparison.tuned.intervals},
          {"base_intervals", comparison.base.intervals},
          {"change", changes(comparison)},
          {"change_intervals", change_intervals(comparison)},
          {"layout", comparison.layout},
          {"seconds", comparison.seconds}};
}

std::vector<std::string> prediction_lines(const TaskComparison& comparison) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < comparison.tuned.samples.size(); ++i) {
    Json row = {{"task", comparison.name}, {"type", comparison.type}};
    row.update(comparison.tuned.samples[i]);
    for (const auto& [key, value] : comparison.base.samples[i].items()) {
      if (!is_common(key)) row["base_" + key] = value;
    }
    lines.push_back(row.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return lines;
}

}  // namespace excitor
