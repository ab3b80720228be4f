#include "seed_groups.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace excitor {
namespace {

constexpr const char* kSeed = "train.seed";

}  // namespace

std::vector<double> SeedGroup::values(const std::string& figure) const {
  std::vector<double> found;
  for (const SweepRow& row : rows)
    if (row.results.contains(figure) && row.results[figure].is_number())
      found.push_back(row.results[figure].get<double>());
  return found;
}

double SeedGroup::mean_key(const Ranking& ranking) const {
  std::vector<double> keys;
  for (const SweepRow& row : rows) keys.push_back(ranking.key_of(row.results));
  return mean_of(keys);
}

std::vector<SeedGroup> seed_groups(const std::vector<SweepRow>& rows) {
  std::vector<SeedGroup> groups;
  std::map<std::string, size_t> of_settings;
  for (const SweepRow& row : rows) {
    if (row.state != "finished") continue;
    Json settings = row.settings;
    settings.erase(kSeed);
    const auto [place, is_new] = of_settings.try_emplace(settings.dump(), groups.size());
    if (is_new) groups.push_back({.settings = settings, .rows = {}});
    groups[place->second].rows.push_back(row);
  }
  return groups;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::string mean_and_deviation(const std::vector<double>& values) {
  if (values.empty()) return "-";
  if (values.size() == 1) return fmt::format("{:.4f}", values[0]);
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return fmt::format("{:.4f} ± {:.4f}", mean, std::sqrt(squares / static_cast<double>(values.size() - 1)));
}

std::vector<std::string> setting_keys(const std::vector<SweepRow>& rows) {
  std::vector<std::string> keys;
  for (const SweepRow& row : rows)
    for (const auto& [key, value] : row.settings.items()) add_once(keys, key);
  return keys;
}

std::vector<std::string> main_task_figures(const std::vector<SweepRow>& rows) {
  std::vector<std::string> figures;
  for (const SweepRow& row : rows) {
    for (const auto& [key, value] : row.results.items()) {
      for (const char* metric : {".accuracy", ".loss", ".cider"})
        if (key.ends_with(metric)) add_once(figures, key);
    }
  }
  return figures;
}

void add_once(std::vector<std::string>& words, const std::string& word) {
  if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
}

std::string text_of(const Json& object, const std::string& key) {
  if (!object.contains(key) || object[key].is_null()) return {};
  const Json& value = object[key];
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace excitor
