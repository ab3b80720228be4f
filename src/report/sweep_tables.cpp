// The rows of a sweep as text: JSON lines, CSV, a table for a terminal.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/report/sweep_results.h>

namespace excitor {
namespace {

using Table = std::vector<std::vector<std::string>>;

int64_t rank_of(const std::vector<SweepRow>& rows, size_t index) {
  return rows[index].state == "finished" ? static_cast<int64_t>(index) + 1 : 0;
}

void add_once(std::vector<std::string>& words, const std::string& word) {
  if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
}

/// All keys of the rows' settings in the order of their first appearance.
std::vector<std::string> setting_keys(const std::vector<SweepRow>& rows) {
  std::vector<std::string> keys;
  for (const SweepRow& row : rows)
    for (const auto& [key, value] : row.settings.items()) add_once(keys, key);
  return keys;
}

/// A string as it is, anything else as JSON; "" for what is absent.
std::string text_of(const Json& object, const std::string& key) {
  if (!object.contains(key) || object[key].is_null()) return {};
  const Json& value = object[key];
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
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
std::string figure(const Json& results, const char* key, const char* format = "{:.4f}") {
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
std::vector<const char*> filled(const std::vector<SweepRow>& rows, std::initializer_list<const char*> keys) {
  std::vector<const char*> found;
  for (const char* key : keys) {
    if (std::any_of(rows.begin(), rows.end(), [&](const SweepRow& row) { return row.results.contains(key); }))
      found.push_back(key);
  }
  return found;
}

constexpr const char* kSeed = "train.seed";
constexpr const char* kLosses[] = {"eval_loss", "gain", "forgetting", "train_loss", "seconds"};

/// Rows that differ in their seed alone.
struct SeedGroup {
  Json settings;
  std::map<std::string, std::vector<double>> values;  ///< of each figure
};

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Mean ± standard deviation of the sample.
std::string mean_and_deviation(const std::vector<double>& values) {
  if (values.empty()) return "-";
  double squares = 0;
  for (const double value : values) squares += (value - mean(values)) * (value - mean(values));
  if (values.size() == 1) return fmt::format("{:.4f}", values[0]);
  return fmt::format("{:.4f} ± {:.4f}", mean(values),
                     std::sqrt(squares / static_cast<double>(values.size() - 1)));
}

std::vector<SeedGroup> seed_groups(const std::vector<SweepRow>& rows) {
  std::vector<SeedGroup> groups;
  std::map<std::string, size_t> of_settings;
  for (const SweepRow& row : rows) {
    if (row.state != "finished") continue;
    Json settings = row.settings;
    settings.erase(kSeed);
    const auto [place, is_new] = of_settings.try_emplace(settings.dump(), groups.size());
    if (is_new) groups.push_back({.settings = settings, .values = {}});
    for (const char* key : kLosses)
      if (row.results.contains(key))
        groups[place->second].values[key].push_back(row.results[key].get<double>());
  }
  return groups;
}

}  // namespace

std::string results_over_seeds(const std::vector<SweepRow>& rows, const std::string& metric) {
  std::vector<SeedGroup> groups = seed_groups(rows);
  const auto score = [&](const SeedGroup& group) {
    const auto place = group.values.find(metric);
    return place == group.values.end() ? INFINITY : mean(place->second);
  };
  const bool repeated = std::any_of(groups.begin(), groups.end(), [&](const SeedGroup& group) {
    const auto place = group.values.find(metric);
    return place != group.values.end() && place->second.size() > 1;
  });
  if (!repeated) return {};
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const SeedGroup& a, const SeedGroup& b) { return score(a) < score(b); });
  std::vector<std::string> settings;
  for (const SeedGroup& group : groups)
    for (const auto& [key, value] : group.settings.items()) add_once(settings, key);
  Table table(1, settings);
  table[0].insert(table[0].end(), {"seeds", "eval_loss", "gain", "forgetting", "train_loss", "seconds"});
  for (SeedGroup& group : groups) {
    auto& cells = table.emplace_back();
    for (const std::string& key : settings) cells.push_back(text_of(group.settings, key));
    cells.push_back(std::to_string(group.values[metric].size()));
    for (const char* key : kLosses) cells.push_back(mean_and_deviation(group.values[key]));
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
  const auto losses = filled(rows, {"eval_loss", "gain", "forgetting", "train_loss"});
  Table table(1, {"rank"});
  table[0].insert(table[0].end(), settings.begin(), settings.end());
  table[0].insert(table[0].end(), losses.begin(), losses.end());
  for (const char* name : {"trainable", "seconds", "memory", "run"}) table[0].emplace_back(name);
  for (size_t i = 0; i < std::min(rows.size(), most); ++i) {
    const SweepRow& row = rows[i];
    const int64_t rank = rank_of(rows, i);
    auto& cells = table.emplace_back(1, rank > 0 ? std::to_string(rank) : row.state);
    for (const std::string& key : settings) cells.push_back(text_of(row.settings, key));
    for (const char* key : losses) cells.push_back(figure(row.results, key));
    cells.push_back(text_of(row.results, "trainable_parameters"));
    cells.push_back(figure(row.results, "seconds", "{:.1f}"));
    cells.push_back(mebibytes(row.results));
    cells.push_back("runs/" + row.id);
  }
  return lay_out(table);
}

}  // namespace excitor
