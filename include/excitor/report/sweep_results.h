// What came out of a sweep's points, ranked: the rows of results.jsonl, results.csv and the printed table.
#pragma once

#include <cstdint>
#include <optional>
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
  /// "finished", "dropped" (by successive halving), "failed", "paused" (before halving decides), "stopped" or
  /// "waiting"
  std::string state;
  std::string error;                 ///< why it failed
  Json results;                      ///< of summarise_run; an object, empty before the run's first record
  std::optional<int64_t> rung = {};  ///< the rung that dropped it, from 1
};

/// True for figures such as accuracies and gains; of losses, times and sizes the lowest is the best.
bool is_better_high(const std::string& figure);

/// What rows are ranked by.
struct Ranking {
  std::string metric;  ///< a key of summarise_run
  bool higher_is_better = false;

  /// The figure as a number that is the lower the better; infinite where there is none.
  double key_of(const Json& results) const;
};

/// By eval_loss when every finished row was evaluated, else by train_loss.
Ranking default_ranking(const std::vector<SweepRow>& rows);

/// The rows by rank: finished ones by the figure (equal ones, and those without a finite value, in the
/// sweep's order), then those that halving dropped, the last rung's first, then all others.
std::vector<SweepRow> ranked(std::vector<SweepRow> rows, const Ranking& ranking);

/// One JSON object a line, with "rank" (null for what is not finished).
std::string results_jsonl(const std::vector<SweepRow>& ranked_rows);
/// The same as a table: a column for each setting and figure (RFC 4180).
std::string results_csv(const std::vector<SweepRow>& ranked_rows);
/// For a terminal: at most `most` rows, the settings that differ and the main figures.
std::string results_table(const std::vector<SweepRow>& ranked_rows, size_t most);

/// The finished rows whose settings differ in train.seed alone, taken together: mean ± standard deviation (of
/// the sample) of each loss, the best mean first. "" unless a group has two rows.
std::string results_over_seeds(const std::vector<SweepRow>& ranked_rows, const Ranking& ranking);

/// The methods of a sweep over method.type side by side, each at its best settings (of those with the most
/// seeds), as a table of cells with a header: settings, mean ± standard deviation over the seeds of gain,
/// forgetting and the main figures of benchmarks, trainable parameters, time and peak memory. Empty for other
/// sweeps.
std::vector<std::vector<std::string>> compare_methods(const std::vector<SweepRow>& rows,
                                                      const Ranking& ranking);
/// A table of cells in Markdown.
std::string markdown_table(const std::vector<std::vector<std::string>>& cells);

/// One row as results.jsonl has it; `rank` from 1, 0 for none.
Json row_json(const SweepRow& row, int64_t rank);

}  // namespace excitor
