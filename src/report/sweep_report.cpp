#include <excitor/report/sweep_report.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/report/html_page.h>
#include <excitor/report/run_history.h>

#include "page_files.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

// What one page holds: a dot for each of 2,000 points, and as many curves as can be told apart.
constexpr size_t kRows = 2000;
constexpr size_t kCurves = 10;

/// Adds the run's curves of training and eval loss to its row.
void add_curves(const fs::path& metrics_file, Json& row) {
  if (!fs::exists(metrics_file)) return;
  const Json history = read_run_history(metrics_file).json();
  Json curves = Json::object();
  if (history["curves"].contains("loss")) curves["loss"] = history["curves"]["loss"];
  if (history["evaluations"].contains("eval_loss")) curves["eval_loss"] = history["evaluations"]["eval_loss"];
  row["curves"] = std::move(curves);
}

std::string name_of(const fs::path& folder) {
  const fs::path whole = fs::weakly_canonical(folder);
  return whole.has_filename() ? whole.filename().string() : whole.parent_path().filename().string();
}

}  // namespace

std::string sweep_report(const fs::path& folder, const std::vector<SweepRow>& rows, const Ranking& ranking) {
  Json shown = Json::array();
  for (size_t i = 0; i < std::min(rows.size(), kRows); ++i) {
    Json row = row_json(rows[i], rows[i].state == "finished" ? static_cast<int64_t>(i) + 1 : 0);
    if (i < kCurves) add_curves(folder / "runs" / rows[i].id / "metrics.jsonl", row);
    shown.push_back(std::move(row));
  }
  Json states = Json::object();
  for (const SweepRow& row : rows) states[row.state] = states.value(row.state, 0) + 1;
  const Json data = {{"name", name_of(folder)},
                     {"metric", ranking.metric},
                     {"higher_is_better", ranking.higher_is_better},
                     {"methods", compare_methods(rows, ranking)},
                     {"points", rows.size()},
                     {"states", states},
                     {"rows", std::move(shown)}};
  return html_page(fmt::format("{} · excitor sweep", data["name"].get<std::string>()),
                   page_files::sweep_report, data);
}

}  // namespace excitor
