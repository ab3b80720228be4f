#include <excitor/train/progress.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include <excitor/util/log.h>
#include <excitor/util/system.h>

namespace excitor {
namespace {

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                  : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace

Progress::Progress(int64_t total_steps, int64_t first_step)
    : total_steps_(total_steps), first_step_(first_step), terminal_(stderr_is_terminal()) {}

void Progress::update(const StepMetrics& metrics) {
  constexpr double kMemory = 0.9;  // of the running mean of the loss
  const bool first = tokens_ == 0;
  tokens_ += metrics.tokens;
  if (metrics.is_finite)
    loss_average_ = loss_average_ ? kMemory * *loss_average_ + (1 - kMemory) * metrics.loss : metrics.loss;
  const bool last = metrics.step == total_steps_;
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s%s", bar(metrics).c_str(), last ? "\n" : "");
    std::fflush(stderr);
    return;
  }
  constexpr auto kPause = std::chrono::seconds(10);
  if (!first && !last && Clock::now() - last_line_ < kPause) return;
  last_line_ = Clock::now();
  log::info(bar(metrics));
}

void Progress::clear() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

std::string Progress::bar(const StepMetrics& metrics) const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - begin_).count();
  const double per_step = elapsed / static_cast<double>(std::max<int64_t>(1, metrics.step - first_step_));
  const double left = per_step * static_cast<double>(total_steps_ - metrics.step);
  const int64_t width = 20, filled = width * metrics.step / std::max<int64_t>(1, total_steps_);
  std::string picture;
  for (int64_t i = 0; terminal_ && i < width; ++i) picture += i < filled ? "█" : "░";
  return fmt::format("{}{}step {}/{}  loss {:.4f}  lr {:.2e}  {:.0f} tokens/s  {} left", picture,
                     terminal_ ? " " : "", metrics.step, total_steps_, loss_average_.value_or(metrics.loss),
                     metrics.learning_rate, static_cast<double>(tokens_) / std::max(elapsed, 1e-9),
                     duration(left));
}

}  // namespace excitor
