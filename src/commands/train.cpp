// excitor train
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <excitor/dist/launcher.h>
#include <excitor/run/run_config.h>
#include <excitor/run/training_run.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/system.h>

#include "commands.h"
#include "config_options.h"

namespace excitor {
namespace {

/// Throws ConfigError when `processes` can't share the steps of `config`, or are not those that it asks for.
void check_processes(const RunConfig& config, int64_t processes, const std::optional<Place>& place) {
  const std::optional<int64_t> asked = config.distributed.processes();
  if (place && asked && *asked != place->local_size) {
    throw ConfigError(
        fmt::format("{} start {} processes on this machine, and distributed.devices asks for {}; "
                    "leave it out (\"auto\")",
                    place->source, place->local_size, *asked));
  }
  const std::optional<int64_t>& examples = config.train.global_batch_size;
  if (examples && *examples % processes != 0) {
    throw ConfigError(fmt::format(
        "{}: train.global_batch_size: {} examples can't be shared evenly by {} processes; choose a multiple",
        config.source, *examples, processes));
  }
}

/// Starts the processes, once everything that can be checked without them is.
int launch_checked(const RunConfig& config, int64_t processes, std::chrono::milliseconds time_limit) {
  const TrainingRun checked(config);
  if (const auto cores = count_cores().usable; processes > cores) {
    log::warning(
        fmt::format("distributed.devices: {} processes share {} cores; more than one a core are slower",
                    processes, cores));
  }
  return launch(processes, time_limit);
}

int train(const ConfigOptions& options) {
  end_with_launcher();
  RunConfig config = read_run_config(options.file, options.overrides);
  const std::optional<Place> place = place_from(process_environment());
  const int64_t processes = place ? place->size : config.distributed.processes_to_start();
  check_processes(config, processes, place);
  const std::chrono::duration<double> seconds(config.distributed.timeout_seconds);
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(seconds);
  if (!place && processes > 1) return launch_checked(config, processes, limit);
  Group group = place ? Group(*place, limit) : Group();
  TrainingRun(std::move(config), std::move(group)).run();
  return 0;
}

}  // namespace

void add_train_command(CLI::App& app, CommandResult& result) {
  auto options = std::make_shared<ConfigOptions>();
  auto* command =
      app.add_subcommand("train", "Trains as a configuration says; goes on with an interrupted run");
  add_config_options(*command, *options, "train.learning_rate=0.003");
  command->footer(
      "Example: excitor train configs/tiny-world/excitor.json train.epochs=1 output_dir=/tmp/try");
  command->callback([options, &result] { result.exit_code = train(*options); });
}

}  // namespace excitor
