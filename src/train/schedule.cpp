#include <excitor/train/schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace excitor {

LearningRateSchedule::LearningRateSchedule(const TrainSettings& settings, int64_t steps_per_epoch)
    : type_(settings.lr_scheduler_type), peak_(settings.learning_rate), minimum_(settings.min_learning_rate) {
  const double all = std::ceil(settings.epochs * static_cast<double>(steps_per_epoch) - 1e-9);
  total_steps_ = std::max<int64_t>(1, settings.max_steps.value_or(static_cast<int64_t>(all)));
  const double share = std::ceil(settings.warmup_ratio * static_cast<double>(total_steps_) - 1e-9);
  warmup_steps_ = std::min(total_steps_, settings.warmup_steps.value_or(static_cast<int64_t>(share)));
}

double LearningRateSchedule::learning_rate(int64_t step) const {
  if (step < warmup_steps_) return peak_ * static_cast<double>(step + 1) / static_cast<double>(warmup_steps_);
  const double p = static_cast<double>(step - warmup_steps_) /
                   static_cast<double>(std::max<int64_t>(1, total_steps_ - warmup_steps_));
  switch (type_) {
    case LrScheduler::cosine:
      return minimum_ + (peak_ - minimum_) * 0.5 * (1 + std::cos(std::numbers::pi * p));
    case LrScheduler::linear:
      return peak_ + (minimum_ - peak_) * p;
    case LrScheduler::constant:
      break;
  }
  return peak_;
}

}  // namespace excitor
