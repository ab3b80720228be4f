// excitor sweep-worker: a process of a sweep that trains several points at a time. Not for people: each line
// of its standard input is a point, each line of its standard output what became of one.
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/dist/launcher.h>
#include <excitor/sweep/point_job.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>

#include "commands.h"

namespace excitor {
namespace {

PointReport work_on(const std::string& line, SharedInputs& inputs) {
  try {
    auto [config, part] = read_order(Json::parse(line));
    return run_point(std::move(config), part, inputs);
  } catch (const std::exception& error) {
    return {.end = PointEnd::failed, .error = error.what()};
  }
}

int work() {
  end_with_launcher();
  log::set_terminal_level(log::Level::warning);  // the sweep speaks for all; everything is in the runs' logs
  const StopSignals signals;
  SharedInputs inputs;
  for (std::string line; StopSignals::requested() == 0 && std::getline(std::cin, line);) {
    const PointReport report = work_on(line, inputs);
    std::cout << answer_of(report).dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
    if (report.end == PointEnd::stopped) return 128 + report.signal;
  }
  return 0;
}

}  // namespace

void add_sweep_worker_command(CLI::App& app, CommandResult& result) {
  auto* command = app.add_subcommand("sweep-worker", "A process of excitor sweep, which starts it");
  command->group("");  // not listed
  command->callback([&result] { result.exit_code = work(); });
}

}  // namespace excitor
