// What came out of a sweep's points, ranked: the rows of results.jsonl, results.csv and the printed table.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

namespace excitor {

/// One point of a sweep.
struct SweepRow {
  int64_t point = 0;  ///< its number in the sweep, from 1
  std::string id;     ///< its folder below runs/
  Json settings;      ///< dotted keys and values
  std::string state;  ///< "finished", "failed", "stopped" or "waiting"
  std::string error;  ///< why it failed
  Json results;       ///< of summarise_run; an object, empty before the run's first record
};

/// The figures of the run in `folder`, from its config.json and metrics.jsonl; those that it has not are left
/// out: eval_loss, base_loss, gain (base_loss − eval_loss), forgetting, kl, held_out_loss, train_loss (mean
/// of the last ten recorded steps), steps, tokens, seconds (in steps), tokens_per_second, peak_memory_bytes,
/// trainable_parameters, base_parameters. The evaluation is the last one, or with
/// checkpoint.load_best_model_at_end the best. An empty object where no run lies. Throws as read_run_history.
Json summarise_run(const std::filesystem::path& folder);

/// What rows are ranked by, lower is better: "eval_loss" when every finished row has one, else "train_loss".
std::string ranking_metric(const std::vector<SweepRow>& rows);

/// The rows by rank: finished ones by `metric` (equal ones, and those without a finite value, in the sweep's
/// order), then all others.
std::vector<SweepRow> ranked(std::vector<SweepRow> rows, const std::string& metric);

/// One JSON object a line, with "rank" (null for what is not finished).
std::string results_jsonl(const std::vector<SweepRow>& ranked_rows);
/// The same as a table: a column for each setting and figure (RFC 4180).
std::string results_csv(const std::vector<SweepRow>& ranked_rows);
/// For a terminal: at most `most` rows, the settings that differ and the main figures.
std::string results_table(const std::vector<SweepRow>& ranked_rows, size_t most);

/// The finished rows whose settings differ in train.seed alone, taken together: mean ± standard deviation (of
/// the sample) of each loss, the lowest mean of `metric` first. "" unless a group has two rows.
std::string results_over_seeds(const std::vector<SweepRow>& ranked_rows, const std::string& metric);

/// One row as results.jsonl has it; `rank` from 1, 0 for none.
Json row_json(const SweepRow& row, int64_t rank);

}  // namespace excitor
