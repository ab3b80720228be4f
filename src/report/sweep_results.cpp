#include <excitor/report/sweep_results.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/report/run_history.h>
#include <excitor/util/files.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// The events of metrics.jsonl that whole lines hold; read_run_history has refused what is none.
std::vector<Json> events_of(const fs::path& file) {
  std::vector<Json> events;
  const std::string text = read_file(file);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    events.push_back(Json::parse(text.substr(begin, end - begin)));
  return events;
}

void copy_numbers(const Json& from, std::initializer_list<const char*> keys, Json& to) {
  for (const char* key : keys)
    if (from.is_object() && from.contains(key) && from[key].is_number()) to[key] = from[key];
}

/// The evaluation of the weights that the run keeps.
Json kept_evaluation(const std::vector<Json>& events, const Json& config, const Json& best) {
  const bool keeps_best = config.contains("checkpoint") &&
                          config["checkpoint"].value("load_best_model_at_end", false) && !best.is_null();
  Json kept;
  for (const Json& event : events) {
    if (event["event"] == "eval" && (!keeps_best || event["step"] == best["step"])) kept = event;
  }
  return kept;
}

std::optional<double> train_loss(const std::vector<Json>& events) {
  constexpr size_t kSteps = 10;
  std::vector<double> losses;
  for (auto event = events.rbegin(); event != events.rend() && losses.size() < kSteps; ++event) {
    if ((*event)["event"] == "step" && (*event)["loss"].is_number())
      losses.push_back((*event)["loss"].get<double>());
  }
  if (losses.empty()) return std::nullopt;
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

int64_t peak_memory(const std::vector<Json>& events) {
  int64_t peak = 0;
  for (const Json& event : events) peak = std::max(peak, event.value("peak_memory_bytes", int64_t{0}));
  return peak;
}

/// The figure that a row is ranked by; infinite where there is none.
double value_of(const SweepRow& row, const std::string& metric) {
  if (row.state != "finished" || !row.results.contains(metric)) return INFINITY;
  const double value = row.results[metric].get<double>();
  return std::isfinite(value) ? value : INFINITY;
}

int rank_class(const SweepRow& row) {
  return row.state == "finished" ? 0 : row.state == "failed" ? 1 : 2;
}

}  // namespace

Json summarise_run(const fs::path& folder) {
  Json out = Json::object();
  if (!fs::exists(folder / "config.json") || !fs::exists(folder / "metrics.jsonl")) return out;
  const Json history = read_run_history(folder / "metrics.jsonl").json();
  const std::vector<Json> events = events_of(folder / "metrics.jsonl");
  const Json evaluation = kept_evaluation(events, read_json_file(folder / "config.json"), history["best"]);
  copy_numbers(evaluation, {"eval_loss", "base_loss"}, out);
  if (out.contains("eval_loss") && out.contains("base_loss"))
    out["gain"] = out["base_loss"].get<double>() - out["eval_loss"].get<double>();
  copy_numbers(evaluation, {"forgetting", "kl", "held_out_loss"}, out);
  if (const auto loss = train_loss(events)) out["train_loss"] = *loss;
  out["steps"] = history["last_step"];
  copy_numbers(history, {"tokens", "seconds"}, out);
  const double seconds = out.value("seconds", 0.0);
  if (seconds > 0) out["tokens_per_second"] = out["tokens"].get<double>() / seconds;
  out["peak_memory_bytes"] = peak_memory(events);
  copy_numbers(history["start"], {"trainable_parameters", "base_parameters"}, out);
  return out;
}

std::string ranking_metric(const std::vector<SweepRow>& rows) {
  const bool evaluated = std::all_of(rows.begin(), rows.end(), [](const SweepRow& row) {
    return row.state != "finished" || row.results.contains("eval_loss");
  });
  const bool any = std::any_of(rows.begin(), rows.end(),
                               [](const SweepRow& row) { return row.results.contains("eval_loss"); });
  return evaluated && any ? "eval_loss" : "train_loss";
}

std::vector<SweepRow> ranked(std::vector<SweepRow> rows, const std::string& metric) {
  std::stable_sort(rows.begin(), rows.end(), [&](const SweepRow& a, const SweepRow& b) {
    if (rank_class(a) != rank_class(b)) return rank_class(a) < rank_class(b);
    return value_of(a, metric) < value_of(b, metric);
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
  if (!row.error.empty()) json["error"] = row.error;
  json.update(row.results);
  return json;
}

}  // namespace excitor
