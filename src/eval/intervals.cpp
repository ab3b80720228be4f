#include "intervals.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace excitor {
namespace {

constexpr double kQuantile = 1.959963984540054;  // of the normal distribution at 0.975

}  // namespace

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::pair<double, double> normal_interval(const std::vector<double>& values) {
  const double centre = mean(values), n = static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - centre) * (value - centre);
  const double margin = n > 1 ? kQuantile * std::sqrt(squares / (n - 1) / n) : 0;
  return {centre - margin, centre + margin};
}

std::pair<double, double> share_interval(const std::vector<double>& values) {
  const auto [low, high] = normal_interval(values);
  return {std::max(low, 0.0), std::min(high, 1.0)};
}

void add_share(TaskScores& scores, const std::string& metric, std::vector<double> values) {
  scores.metrics[metric] = mean(values);
  const auto [low, high] = share_interval(values);
  scores.intervals[metric] = {low, high};
  scores.outcomes.emplace_back(metric, std::move(values));
}

Json means_by_name(const std::vector<std::string>& names, const std::vector<double>& values) {
  std::map<std::string, std::vector<double>> parts;
  for (size_t i = 0; i < names.size(); ++i) parts[names[i]].push_back(values[i]);
  Json means = Json::object();
  for (const auto& [name, part] : parts) means[name] = mean(part);
  return means;
}

}  // namespace excitor
