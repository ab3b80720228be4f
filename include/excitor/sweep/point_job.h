// One point of a sweep as work for a process: what it is told, what it does, what it answers.
#pragma once

#include <string>

#include <excitor/run/run_config.h>
#include <excitor/run/run_part.h>
#include <excitor/run/shared_inputs.h>

namespace excitor {

/// The run of a point, or a part of it.
struct PointJob {
  size_t index = 0;  ///< of the sweep's runs
  RunPart part;
};

enum class PointEnd { finished, paused, stopped, failed };

struct PointReport {
  PointEnd end = PointEnd::finished;
  std::string error;  ///< why it failed, or what a stopped run says
  int signal = 0;     ///< that stopped it
};

/// Trains in this process; base and data are taken from `inputs` and left there. Nothing that concerns this
/// point alone is thrown: it is the report.
PointReport run_point(RunConfig config, const RunPart& part, SharedInputs& inputs);

/// The same as a line that a process is told, and that it answers.
Json order_of(RunConfig config, const RunPart& part);
/// Throws ConfigError for one that is none.
std::pair<RunConfig, RunPart> read_order(const Json& order);
Json answer_of(const PointReport& report);
PointReport read_answer(const Json& answer);

}  // namespace excitor
