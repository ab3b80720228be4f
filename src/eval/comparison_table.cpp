// The table of gain and forgetting.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <excitor/eval/comparison.h>

namespace excitor {
namespace {

using Row = std::vector<std::string>;

/// Characters that a text takes on a terminal, as far as this table's go.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string show_number(const Json& value) {
  return value.is_number_integer() ? value.dump() : fmt::format("{:.4f}", value.get<double>());
}

std::string with_interval(const TaskScores& scores, const std::string& metric) {
  const std::string value = show_number(scores.metrics[metric]);
  if (!scores.intervals.contains(metric)) return value;
  const Json& interval = scores.intervals[metric];
  return fmt::format("{} [{:.3f}, {:.3f}]", value, interval[0].get<double>(), interval[1].get<double>());
}

bool is_loss(const std::string& metric) {
  return metric == "loss" || metric == "perplexity";
}

/// What a change means: "gained", "lost"; of a loss on running text "forgotten" or "learned". Nothing where
/// the interval of the change holds zero.
std::string verdict(const std::string& metric, double change, const Json& interval) {
  if (interval.is_array() && interval[0].get<double>() <= 0 && interval[1].get<double>() >= 0)
    return "within chance";
  if (std::abs(change) < 5e-5) return "unchanged";
  if (is_loss(metric)) return change > 0 ? "forgotten" : "learned";
  return change > 0 ? "gained" : "lost";
}

void add_change(const Json& comparison, const std::string& metric, Row& row) {
  if (!comparison["change"].contains(metric)) return;
  const double change = comparison["change"][metric].get<double>();
  const Json& intervals = comparison["change_intervals"];
  const Json interval = intervals.contains(metric) ? intervals[metric] : Json();
  row.push_back(fmt::format("{:+.4f}", change));
  row.push_back(verdict(metric, change, interval));
}

/// A row for each plain number, then those of its parts (by_subject, …).
void add_rows(const TaskComparison& comparison, bool has_bypass, std::vector<Row>& rows) {
  const Json json = comparison_json(comparison);
  for (const auto& [metric, value] : comparison.tuned.metrics.items()) {
    if (!value.is_number()) continue;
    Row row{comparison.name, metric, std::to_string(comparison.samples),
            with_interval(comparison.base, metric)};
    if (has_bypass) {
      row.push_back(with_interval(comparison.tuned, metric));
      add_change(json, metric, row);
    }
    rows.push_back(row);
  }
  for (const auto& [metric, parts] : comparison.tuned.metrics.items()) {
    if (!parts.is_object()) continue;
    for (const auto& [part, value] : parts.items()) {
      Row row{"", "  " + part, "", show_number(comparison.base.metrics[metric][part])};
      if (has_bypass) row.push_back(show_number(value));
      rows.push_back(row);
    }
  }
}

}  // namespace

std::string comparison_table(const std::vector<TaskComparison>& comparisons, bool has_bypass) {
  std::vector<Row> rows{{"task", "metric", "samples", "base"}};
  if (has_bypass) rows[0].insert(rows[0].end(), {"with adapter", "change", ""});
  for (const TaskComparison& comparison : comparisons) add_rows(comparison, has_bypass, rows);
  std::vector<size_t> widths(rows[0].size(), 0);
  for (const Row& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  std::string table;
  for (const Row& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c)
      line += row[c] + std::string(widths[c] - width_of(row[c]) + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  }
  return table;
}

}  // namespace excitor
