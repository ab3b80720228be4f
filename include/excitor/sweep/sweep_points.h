// The points of a sweep: what its section of a configuration names, written out one by one.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <excitor/util/json.h>

namespace excitor {

/// More points are refused: it is a slip in a list far more often than a wish.
inline constexpr size_t kMostSweepPoints = 10'000;

/// Dotted keys of the configuration and the values that they have at one point, in the section's order.
using SweepPoint = Json;

/// The points of a `sweep` section:
/// - {"train.seed": [1, 2], "method.r": [8, 16]}: every combination, the last key changing fastest;
/// - [{"method.type": "lora", "method.r": 8}, …]: these points;
/// - {"random": {"points": 20, "seed": 0, "train.learning_rate": {"log_uniform": [1e-4, 1e-2]}}}: draws, each
///   with every combination of the keys beside `random`. {"uniform": [a, b]}, {"log_uniform": [a, b]} and
///   {"integer": [a, b]} (both ends included) are ranges, a list is a choice. A draw depends on the seed, its
///   number and its key alone, so that more points, or another key, leave the draws that are there;
/// - {"points": [{…}, …], "train.seed": [1, 2]}: chosen points, each with every combination of the keys.
/// Settings of <excitor/sweep/sweep_settings.h> may stand beside the keys.
///
/// Throws ConfigError with all problems below `source`: no points, a list without values, a range that is
/// none, more than kMostSweepPoints points, keys that a point can't set (output_dir, distributed, sweep).
std::vector<SweepPoint> expand_sweep(const Json& sweep, const std::string& source);

/// 16 hexadecimal digits that name a run: the SHA-256 of its resolved configuration but for what does not
/// change the run (output_dir, distributed).
std::string sweep_run_id(const Json& resolved);

/// JSON Schema of the section.
Json sweep_schema();
/// The section for the reference page, as Markdown.
std::string sweep_reference();

}  // namespace excitor
