// Rows of a sweep that differ in their seed alone, and words for what they hold.
#pragma once

#include <string>
#include <vector>

#include <excitor/report/sweep_results.h>

namespace excitor {

/// Finished rows whose settings are the same but for train.seed.
struct SeedGroup {
  Json settings;  ///< without the seed
  std::vector<SweepRow> rows;

  /// The figure of each row that has it.
  std::vector<double> values(const std::string& figure) const;
  /// The lower the better; infinite where a row has no figure.
  double mean_key(const Ranking& ranking) const;
};

/// In the order of their first rows.
std::vector<SeedGroup> seed_groups(const std::vector<SweepRow>& rows);

double mean_of(const std::vector<double>& values);
/// "1.7500 ± 0.3536": the mean and the sample's standard deviation; of one value itself, of none a dash.
std::string mean_and_deviation(const std::vector<double>& values);

/// All keys of the rows' settings in the order of their first appearance.
std::vector<std::string> setting_keys(const std::vector<SweepRow>& rows);
/// NAME.METRIC of the figure that stands for each benchmark.
std::vector<std::string> main_task_figures(const std::vector<SweepRow>& rows);
void add_once(std::vector<std::string>& words, const std::string& word);
/// A string as it is, anything else as JSON; "" for what is absent.
std::string text_of(const Json& object, const std::string& key);

}  // namespace excitor
