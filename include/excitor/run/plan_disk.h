// What a run writes to its output_dir, before it is started.
#pragma once

#include <cstdint>

#include <excitor/run/run_config.h>

namespace excitor {

/// What is known of a run.
struct RunSize {
  int64_t trainable = 0;  ///< parameters
  int64_t steps = 1;      ///< optimiser steps
};

/// The most that lies in output_dir at one time, in bytes.
struct DiskPlan {
  int64_t result = 0;       ///< adapter/ or model/
  int64_t best = 0;         ///< best/, the one that is written to replace it, and one for each checkpoint
  int64_t checkpoint = 0;   ///< one checkpoint: the adapter and two moments
  int64_t checkpoints = 0;  ///< how many, with the one that is written before an old one is removed
  /// With save_total_limit 0, save_seconds makes more of them, as long as the run lasts.
  bool has_more = false;
  int64_t total() const { return result + best + checkpoints * checkpoint; }
};
DiskPlan plan_disk(const RunConfig& config, const RunSize& run);

}  // namespace excitor
