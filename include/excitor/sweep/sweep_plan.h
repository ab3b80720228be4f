// A sweep before its first run: every point read and checked.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/run/run_config.h>
#include <excitor/sweep/sweep_points.h>
#include <excitor/sweep/sweep_settings.h>

namespace excitor {

/// A point that will be run.
struct PlannedRun {
  SweepPoint settings;
  RunConfig config;         ///< output_dir is <the sweep's>/runs/<id>
  std::string id;           ///< of sweep_run_id
  std::string inputs_keys;  ///< runs that have this in common share base and data
};

struct SweepPlan {
  std::filesystem::path output_dir;
  SweepSettings settings;
  std::vector<PlannedRun> runs;  ///< in the sweep's order; points of equal configuration are one
};

/// Reads the configuration `file` with its section `sweep`, and checks every point as `excitor train` checks
/// its configuration. Throws ConfigError with all problems of all points at once, each with the points that
/// have it.
SweepPlan plan_sweep(const std::filesystem::path& file, const std::vector<std::string>& overrides);

}  // namespace excitor
