// What a training step did, and what was asked of the run meanwhile.
#pragma once

#include <cstdint>
#include <vector>

namespace excitor {

/// What somebody asked of the run from outside.
struct StepRequests {
  int stop_signal = 0;  ///< the signal that asks to stop, or 0
  bool save = false;
};

/// What one optimiser step did, in all processes together.
struct StepMetrics {
  int64_t step = 0;  ///< from 1
  double epoch = 0;  ///< passes over the data so far
  double loss = 0;   ///< mean over the label tokens of the global batch, before the update
  double learning_rate = 0;
  double grad_norm = 0;  ///< before clipping
  int64_t tokens = 0;
  int64_t label_tokens = 0;
  double seconds = 0;
  bool is_finite = true;          ///< false: loss or gradients were not, and the update was left out
  std::vector<int64_t> examples;  ///< indices in the dataset
  StepRequests requests;          ///< of any process, the same in all: they stop and save at the same step
};

}  // namespace excitor
