// The learning rate as a function of the step.
#pragma once

#include <cstdint>

#include <excitor/train/train_settings.h>

namespace excitor {

/// Linear warm-up over W steps, then cosine or linear to min_learning_rate at the last step, or constant.
/// Step s (from 0) of S: s < W: lr·(s+1)/W, so that the first step already moves and the W-th has the full
/// rate; afterwards with p = (s−W)/(S−W): cosine min + (lr−min)·½(1+cos πp), linear lr + (min−lr)·p.
class LearningRateSchedule {
 public:
  LearningRateSchedule(const TrainSettings& settings, int64_t steps_per_epoch);

  int64_t total_steps() const { return total_steps_; }
  int64_t warmup_steps() const { return warmup_steps_; }
  double learning_rate(int64_t step) const;

 private:
  LrScheduler type_;
  double peak_, minimum_;
  int64_t total_steps_, warmup_steps_;
};

}  // namespace excitor
