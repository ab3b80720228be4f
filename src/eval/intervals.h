// 95 % confidence intervals.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <excitor/eval/task.h>

namespace excitor {

double mean(const std::vector<double>& values);

/// The normal interval of a mean: mean ± 1.96 · sample standard deviation / √n; the mean twice for n = 1.
std::pair<double, double> normal_interval(const std::vector<double>& values);
/// Of a share of 0s and 1s, kept within [0, 1].
std::pair<double, double> share_interval(const std::vector<double>& values);

/// Sets a metric to the mean of 0s and 1s, with its interval and its outcomes.
void add_share(TaskScores& scores, const std::string& metric, std::vector<double> values);
/// `by`: {name: mean of the values that bear the name}, in alphabetical order. names and values are parallel.
Json means_by_name(const std::vector<std::string>& names, const std::vector<double>& values);

}  // namespace excitor
