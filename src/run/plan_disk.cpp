#include <excitor/run/plan_disk.h>

#include <algorithm>

namespace excitor {

DiskPlan plan_disk(const RunConfig& config, const RunSize& run) {
  constexpr int64_t kFloat = 4, kMoments = 2;
  const CheckpointSettings& settings = config.checkpoint;
  const int64_t limit = settings.save_total_limit;
  DiskPlan plan{.result = kFloat * run.trainable, .checkpoint = (1 + kMoments) * kFloat * run.trainable};
  const bool is_validated = !config.data.validation.empty() || config.data.val_size > 0;
  // None after the last step; one more when a signal stops the run.
  int64_t saved = 1 + (settings.save_steps ? (run.steps - 1) / *settings.save_steps : 0);
  if (settings.save_seconds) saved = std::max(saved, limit + 1);
  plan.checkpoints = limit == 0 ? saved : std::min(saved, limit + 1);
  if (is_validated) plan.best = (2 + plan.checkpoints) * plan.result;
  plan.has_more = limit == 0 && settings.save_seconds.has_value();
  return plan;
}

}  // namespace excitor
