// A run in figures, from what it recorded.
#pragma once

#include <cstdint>
#include <filesystem>

#include <excitor/util/json.h>

namespace excitor {

/// The figures of the run in `folder`, from its config.json and metrics.jsonl; those that it has not are left
/// out: eval_loss, base_loss, gain (base_loss − eval_loss), forgetting, kl, held_out_loss, train_loss (mean
/// of the last ten recorded steps), steps, tokens, seconds (in steps), tokens_per_second, peak_memory_bytes,
/// trainable_parameters, base_parameters; of each benchmark of eval.tasks NAME.METRIC, and the difference
/// from the frozen model as NAME.METRIC_change. The evaluation is the last one, or with
/// checkpoint.load_best_model_at_end the best. An empty object where no run lies. Throws as read_run_history.
Json summarise_run(const std::filesystem::path& folder);

/// The optimiser step at which successive halving looks at a run, after `share` of all its steps.
int64_t rung_step(double share, int64_t total_steps);

/// The same figures as they were after `share` of all steps, where successive halving looked at the run, or
/// at the end of a run that ended before. An empty object where it has not come so far.
Json summarise_rung(const std::filesystem::path& folder, double share);

}  // namespace excitor
