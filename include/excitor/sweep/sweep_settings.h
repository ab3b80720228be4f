// How a sweep goes about its points: what stands in its section beside the keys to vary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <excitor/report/sweep_results.h>
#include <excitor/util/describe.h>
#include <excitor/util/settings.h>

namespace excitor {

struct RunConfig;

/// Successive halving (Jamieson & Talwalkar, arXiv 1502.07943): all points are trained to a first rung, the
/// better ones to a second, and so on to the end.
struct HalvingSettings {
  Json rungs = Json::array({0.25, 0.5});  ///< shares of a run's steps, ascending, between 0 and 1
  double keep = 0.5;                      ///< share of the points that goes on after a rung; at least one
  std::optional<std::string> metric;      ///< default: the sweep's
  void describe(Describer& d);
  std::vector<double> shares() const { return rungs.get<std::vector<double>>(); }
};

enum class Direction { automatic, minimum, maximum };

struct SweepSettings {
  std::optional<std::string> metric;  ///< a figure of summarise_run; default: of default_ranking
  Direction direction = Direction::automatic;
  Json parallel = "auto";  ///< points at a time
  std::optional<HalvingSettings> early_stop;
  void describe(Describer& d);
};

/// True for the keys that stand for themselves in the section: metric, direction, parallel, early_stop.
bool is_sweep_setting(const std::string& key);

/// The settings in a section `sweep`; of a list of points, the defaults. What is wrong is added to
/// `problems`.
SweepSettings read_sweep_settings(const Json& sweep, Problems& problems);

/// Adds a figure that a run of this configuration will not record.
void check_metrics(const SweepSettings& settings, const RunConfig& config, Problems& problems);

/// `name` with the direction that the settings give, or the figure's own.
Ranking ranking_by(const std::string& name, Direction direction);

}  // namespace excitor
