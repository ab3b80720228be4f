// The course of one run as a page shows it, gathered from the events of metrics.jsonl.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <excitor/report/thinning.h>
#include <excitor/util/json.h>

namespace excitor {

/// Takes the events in their order and keeps a bounded summary of them, whatever the length of the run.
class RunHistory {
 public:
  RunHistory();

  /// One line of metrics.jsonl; kinds that it does not know are passed over. Throws Json::exception when a
  /// key has an unexpected type.
  void add(const Json& event);

  /// What the page draws: {"start", "end", "resumed_at", "last_step", "steps", "tokens", "seconds", "curves",
  /// "evaluations", "latest", "tasks", "best", "health", "samples", "never_moved"}. An absent event is null;
  /// "tasks" are the last scores of eval.tasks, each with the "curves" of its metrics.
  Json json() const;

 private:
  using Curves = std::vector<std::pair<std::string, ThinnedCurve>>;

  void add_start(const Json& event);
  void add_step(const Json& event);
  void add_evaluation(const Json& event);
  void add_tasks(const Json& event);
  Json tasks_json() const;
  static void add_values(const Json& event, Curves& curves);
  static Json json_of(const Curves& curves);

  Json start_, end_, latest_, best_;
  std::vector<int64_t> resumed_at_;
  std::vector<std::string> never_moved_;
  int64_t last_step_ = 0;
  int64_t recorded_steps_ = 0;                         ///< with an event of their own
  double recorded_tokens_ = 0, recorded_seconds_ = 0;  ///< of those steps
  Curves steps_, evaluations_;
  Json tasks_ = Json::array();                 ///< the last scores
  std::map<std::string, Curves> task_curves_;  ///< of each task's metrics
  ThinnedList health_, samples_;
};

/// Reads metrics.jsonl. A last line without its end (of a run that was killed) is passed over. Throws
/// IoError, or DataError with file:line.
RunHistory read_run_history(const std::filesystem::path& metrics_file);

}  // namespace excitor
