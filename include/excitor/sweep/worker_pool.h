// Several points of a sweep at a time, each in a process of its own.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include <excitor/sweep/point_job.h>
#include <excitor/sweep/sweep_plan.h>

namespace excitor {

/// Where the points run.
struct PoolPlaces {
  int64_t processes = 1;           ///< points at a time
  std::vector<int64_t> gpus = {};  ///< of each process; empty: the CPU
};

/// What happens with a job.
struct JobEvents {
  std::function<void(const PointJob&)> begins;
  std::function<void(const PointJob&, const PointReport&)> ends;
};

/// Processes that are started when they are needed and keep base and data for their next points.
class WorkerPool {
 public:
  /// `runs` outlive it.
  WorkerPool(const std::vector<PlannedRun>& runs, PoolPlaces places, JobEvents events);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Trains `jobs` in their order, several at a time. A process that dies is the failure of its point, and
  /// another one takes its place. After a signal all running points are stopped with a checkpoint, and no
  /// other one begins.
  void run(const std::vector<PointJob>& jobs);

 private:
  struct Slot;
  bool any_works() const;
  void stop_if_asked();
  /// The next point for an idle place.
  void hand_out(size_t index);
  /// Until a process says something, or a moment has passed.
  void wait_for_news() const;
  void listen(Slot& slot);
  void end_job(Slot& slot, const PointReport& report);

  const std::vector<PlannedRun>& runs_;
  PoolPlaces places_;
  JobEvents events_;
  std::vector<Slot> slots_;
  std::deque<PointJob> waiting_;
  bool stopped_ = false;
};

}  // namespace excitor
