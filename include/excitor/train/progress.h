// What a person sees of a run: a bar on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <excitor/train/trainer.h>

namespace excitor {

class Progress {
 public:
  Progress(int64_t total_steps, int64_t first_step);

  void update(const StepMetrics& metrics);
  /// Removes the bar, so that a message can be logged; the next update draws it again.
  void clear();

 private:
  std::string bar(const StepMetrics& metrics) const;

  using Clock = std::chrono::steady_clock;
  int64_t total_steps_;
  int64_t first_step_;
  bool terminal_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_line_{};
  std::optional<double> loss_average_;  ///< of finite steps; none yet
  int64_t tokens_ = 0;
};

}  // namespace excitor
