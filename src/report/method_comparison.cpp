// The methods of a sweep beside each other, each at its best settings.
#include <algorithm>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/report/sweep_results.h>

#include "seed_groups.h"

namespace excitor {
namespace {

constexpr const char* kMethod = "method.type";
using Cells = std::vector<std::string>;

/// The group of each method that counts: of those with the most seeds the best by its mean.
std::vector<SeedGroup> best_of_each_method(const std::vector<SweepRow>& rows, const Ranking& ranking) {
  std::vector<SeedGroup> best;
  for (SeedGroup& group : seed_groups(rows)) {
    if (!group.settings.contains(kMethod)) continue;
    const auto place = std::ranges::find_if(
        best, [&](const SeedGroup& other) { return other.settings[kMethod] == group.settings[kMethod]; });
    const auto merit = [&](const SeedGroup& g) {
      return std::make_tuple(-std::ssize(g.rows), g.mean_key(ranking));
    };
    if (place == best.end())
      best.push_back(std::move(group));
    else if (merit(group) < merit(*place))
      *place = std::move(group);
  }
  std::ranges::stable_sort(best, {}, [&](const SeedGroup& group) { return group.mean_key(ranking); });
  return best;
}

/// 7618560 -> "7,618,560"
std::string grouped(double number) {
  std::string digits = fmt::format("{:.0f}", number);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string mean_text(const std::vector<double>& values, const char* format, double unit = 1) {
  return values.empty() ? "-" : fmt::format(fmt::runtime(format), mean_of(values) / unit);
}

Cells cells_of(const SeedGroup& group, const Cells& settings, const Cells& figures) {
  Cells cells;
  for (const std::string& key : settings) cells.push_back(text_of(group.settings, key));
  cells.push_back(std::to_string(group.rows.size()));
  for (const std::string& figure : figures) cells.push_back(mean_and_deviation(group.values(figure)));
  const std::vector<double> trainable = group.values("trainable_parameters");
  cells.push_back(trainable.empty() ? "-" : grouped(mean_of(trainable)));
  cells.push_back(mean_text(group.values("seconds"), "{:.1f}"));
  cells.push_back(mean_text(group.values("peak_memory_bytes"), "{:.0f}", 1 << 20));
  return cells;
}

}  // namespace

std::vector<std::vector<std::string>> compare_methods(const std::vector<SweepRow>& rows,
                                                      const Ranking& ranking) {
  const std::vector<SeedGroup> best = best_of_each_method(rows, ranking);
  if (best.size() < 2) return {};
  Cells settings, figures;
  for (const SeedGroup& group : best)
    for (const auto& [key, value] : group.settings.items()) add_once(settings, key);
  for (const char* figure : {"gain", "forgetting"})
    if (!best[0].values(figure).empty()) figures.emplace_back(figure);
  for (const std::string& figure : main_task_figures(rows)) figures.push_back(figure);
  add_once(figures, ranking.metric);
  Cells header = settings;
  header.emplace_back("seeds");
  header.insert(header.end(), figures.begin(), figures.end());
  header.insert(header.end(), {"trainable", "seconds", "peak MiB"});
  std::vector<Cells> table{header};
  for (const SeedGroup& group : best) table.push_back(cells_of(group, settings, figures));
  return table;
}

std::string markdown_table(const std::vector<std::vector<std::string>>& table) {
  std::string text;
  for (size_t i = 0; i < table.size(); ++i) {
    text += fmt::format("| {} |\n", fmt::join(table[i], " | "));
    if (i > 0) continue;
    text += "|";
    for (size_t column = 0; column < table[0].size(); ++column) text += "---|";
    text += "\n";
  }
  return text;
}

}  // namespace excitor
