#include <excitor/report/sweep_results.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

namespace excitor {
namespace {

/// Finished rows, then those that halving dropped (late ones first), then failed ones, then the others.
std::pair<int, int64_t> rank_class(const SweepRow& row) {
  if (row.state == "finished") return {0, 0};
  if (row.state == "dropped") return {1, -row.rung.value_or(0)};
  return {row.state == "failed" ? 2 : 3, 0};
}

}  // namespace

bool is_better_high(const std::string& figure) {
  const std::string metric = figure.substr(figure.rfind('.') + 1);
  for (const char* high : {"accuracy", "gain", "tokens_per_second", "cider", "bleu_", "rouge_l"})
    if (metric.starts_with(high)) return true;
  return false;
}

double Ranking::key_of(const Json& results) const {
  if (!results.contains(metric) || !results[metric].is_number()) return INFINITY;
  const auto value = results[metric].get<double>();
  return !std::isfinite(value) ? INFINITY : higher_is_better ? -value : value;
}

Ranking default_ranking(const std::vector<SweepRow>& rows) {
  // A run that has diverged has no finite loss on its validation data, but the base has.
  const bool evaluated = std::all_of(rows.begin(), rows.end(), [](const SweepRow& row) {
    return row.state != "finished" || row.results.contains("eval_loss") || row.results.contains("base_loss");
  });
  const bool any = std::any_of(rows.begin(), rows.end(),
                               [](const SweepRow& row) { return row.results.contains("eval_loss"); });
  return {.metric = evaluated && any ? "eval_loss" : "train_loss"};
}

std::vector<SweepRow> ranked(std::vector<SweepRow> rows, const Ranking& ranking) {
  std::stable_sort(rows.begin(), rows.end(), [&](const SweepRow& a, const SweepRow& b) {
    if (rank_class(a) != rank_class(b)) return rank_class(a) < rank_class(b);
    if (rank_class(a).first > 1) return false;
    return ranking.key_of(a.results) < ranking.key_of(b.results);
  });
  return rows;
}

Json row_json(const SweepRow& row, int64_t rank) {
  Json json = {{"rank", rank > 0 ? Json(rank) : Json()},
               {"point", row.point},
               {"id", row.id},
               {"folder", "runs/" + row.id},
               {"state", row.state},
               {"settings", row.settings}};
  if (row.rung) json["rung"] = *row.rung;
  if (!row.error.empty()) json["error"] = row.error;
  json.update(row.results);
  return json;
}

}  // namespace excitor
