// The runs of a sweep: what is to do, in which order, and what has become of each.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <excitor/report/sweep_results.h>
#include <excitor/sweep/point_job.h>
#include <excitor/sweep/sweep_plan.h>
#include <excitor/sweep/worker_pool.h>

namespace excitor {

class SweepRunner {
 public:
  explicit SweepRunner(SweepPlan plan);

  /// Runs what is not finished. Throws Interrupted after a signal; the results are written then too.
  void run();

  /// The rows by rank.
  std::vector<SweepRow> ranking() const;
  /// What they are ranked by.
  Ranking rule() const;
  int64_t count(const char* state) const;
  std::filesystem::path output_dir() const { return plan_.output_dir; }

 private:
  void check_is_no_run() const;
  /// What earlier starts of the sweep have left, once the processes of one that was killed are gone.
  void gather();
  std::filesystem::path folder_of(const SweepRow& row) const;
  void look_at(SweepRow& row) const;
  /// Throws ConfigError when points were trained on another base or other data than those that are there now.
  void check_same_origins() const;
  void run_all();
  /// All points to that rung (those that are not there yet), then those that are behind are dropped.
  void climb(size_t rung);
  void drop_behind(size_t rung);
  Ranking halving_rule() const;
  bool is_alive(const SweepRow& row) const;
  /// The points that `wanted` picks, those that share base and data one after another.
  template <class F>
  std::vector<PointJob> jobs(const RunPart& part, F&& wanted) const;
  void work(const std::vector<PointJob>& jobs);
  void begin(const PointJob& job) const;
  void end(const PointJob& job, const PointReport& report);
  std::string stopped_text() const;
  /// Results of 10,000 short runs are not written 10,000 times; what was not written is read from the runs
  /// again.
  void write_results_now_and_then();
  void write_results() const;
  void write_results_or_warn() const;

  SweepPlan plan_;
  PoolPlaces places_;
  std::vector<SweepRow> rows_;        ///< of plan_.runs
  SharedInputs inputs_;               ///< of points that this process trains
  std::unique_ptr<WorkerPool> pool_;  ///< where several are trained at a time
  std::chrono::steady_clock::time_point last_write_ = std::chrono::steady_clock::now();
};

}  // namespace excitor
