// The rows of a sweep as text: JSON lines, CSV, a table for a terminal.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/report/sweep_results.h>

#include "seed_groups.h"

namespace excitor {
namespace {

using Table = std::vector<std::vector<std::string>>;

int64_t rank_of(const std::vector<SweepRow>& rows, size_t index) {
  return rows[index].state == "finished" ? static_cast<int64_t>(index) + 1 : 0;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::vector<std::string> quoted;
  for (const std::string& cell : cells) quoted.push_back(csv_cell(cell));
  return fmt::format("{}\r\n", fmt::join(quoted, ","));
}

/// A number with four significant digits, or a dash.
std::string figure(const Json& results, const std::string& key, const char* format = "{:.4f}") {
  if (!results.contains(key)) return "-";
  return fmt::format(fmt::runtime(format), results[key].get<double>());
}

std::string mebibytes(const Json& results) {
  if (!results.contains("peak_memory_bytes")) return "-";
  return fmt::format("{:.0f} MiB", results["peak_memory_bytes"].get<double>() / (1 << 20));
}

/// Letters as a terminal counts them: bytes that begin a character.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string lay_out(const Table& table) {
  std::vector<size_t> widths(table[0].size());
  for (const auto& row : table)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  std::string text;
  for (const auto& row : table) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += row[i] + (i + 1 < row.size() ? std::string(widths[i] - width_of(row[i]) + 2, ' ') : "");
    text += line + "\n";
  }
  return text;
}

/// Columns that at least one row fills.
std::vector<std::string> filled(const std::vector<SweepRow>& rows, std::initializer_list<const char*> keys) {
  std::vector<std::string> found;
  for (const char* key : keys) {
    if (std::any_of(rows.begin(), rows.end(), [&](const SweepRow& row) { return row.results.contains(key); }))
      found.push_back(key);
  }
  return found;
}

constexpr const char* kLosses[] = {"eval_loss", "gain", "forgetting", "train_loss", "seconds"};

}  // namespace

std::string results_over_seeds(const std::vector<SweepRow>& rows, const Ranking& ranking) {
  std::vector<SeedGroup> groups = seed_groups(rows);
  if (std::ranges::none_of(groups, [](const SeedGroup& group) { return group.rows.size() > 1; })) return {};
  std::ranges::stable_sort(groups, {}, [&](const SeedGroup& group) { return group.mean_key(ranking); });
  std::vector<std::string> settings;
  for (const SeedGroup& group : groups)
    for (const auto& [key, value] : group.settings.items()) add_once(settings, key);
  Table table(1, settings);
  table[0].insert(table[0].end(), {"seeds", "eval_loss", "gain", "forgetting", "train_loss", "seconds"});
  for (const SeedGroup& group : groups) {
    auto& cells = table.emplace_back();
    for (const std::string& key : settings) cells.push_back(text_of(group.settings, key));
    cells.push_back(std::to_string(group.rows.size()));
    for (const char* key : kLosses) cells.push_back(mean_and_deviation(group.values(key)));
  }
  return lay_out(table);
}

std::string results_jsonl(const std::vector<SweepRow>& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i)
    text += row_json(rows[i], rank_of(rows, i)).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return text;
}

std::string results_csv(const std::vector<SweepRow>& rows) {
  const std::vector<std::string> settings = setting_keys(rows);
  std::vector<std::string> figures;
  for (const SweepRow& row : rows)
    for (const auto& [key, value] : row.results.items()) add_once(figures, key);
  std::vector<std::string> header{"rank", "point", "id", "state"};
  header.insert(header.end(), settings.begin(), settings.end());
  header.insert(header.end(), figures.begin(), figures.end());
  header.emplace_back("error");
  std::string text = csv_line(header);
  for (size_t i = 0; i < rows.size(); ++i) {
    const SweepRow& row = rows[i];
    const int64_t rank = rank_of(rows, i);
    std::vector<std::string> cells{rank > 0 ? std::to_string(rank) : "", std::to_string(row.point), row.id,
                                   row.state};
    for (const std::string& key : settings) cells.push_back(text_of(row.settings, key));
    for (const std::string& key : figures) cells.push_back(text_of(row.results, key));
    cells.push_back(row.error);
    text += csv_line(cells);
  }
  return text;
}

std::string results_table(const std::vector<SweepRow>& rows, size_t most) {
  const std::vector<std::string> settings = setting_keys(rows);
  std::vector<std::string> losses = filled(rows, {"eval_loss", "gain", "forgetting", "train_loss"});
  for (const std::string& key : main_task_figures(rows)) losses.push_back(key);
  Table table(1, {"rank"});
  table[0].insert(table[0].end(), settings.begin(), settings.end());
  table[0].insert(table[0].end(), losses.begin(), losses.end());
  for (const char* name : {"trainable", "seconds", "memory", "run"}) table[0].emplace_back(name);
  for (size_t i = 0; i < std::min(rows.size(), most); ++i) {
    const SweepRow& row = rows[i];
    const int64_t rank = rank_of(rows, i);
    auto& cells = table.emplace_back(1, rank > 0 ? std::to_string(rank) : row.state);
    for (const std::string& key : settings) cells.push_back(text_of(row.settings, key));
    for (const std::string& key : losses) cells.push_back(figure(row.results, key));
    cells.push_back(text_of(row.results, "trainable_parameters"));
    cells.push_back(figure(row.results, "seconds", "{:.1f}"));
    cells.push_back(mebibytes(row.results));
    cells.push_back("runs/" + row.id);
  }
  return lay_out(table);
}

}  // namespace excitor
