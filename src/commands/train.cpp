// excitor train
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <excitor/commands/run_config.h>
#include <excitor/device/device.h>
#include <excitor/dist/launcher.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

#include "commands.h"
#include "training_run.h"

namespace excitor {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
};

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
int launch_checked(const RunConfig& config, int64_t processes) {
  const TrainingRun checked(config);
  if (const auto cores = static_cast<int64_t>(std::thread::hardware_concurrency()); processes > cores) {
    log::warning(
        fmt::format("distributed.devices: {} processes share {} cores; more than one a core are slower",
                    processes, cores));
  }
  return launch(processes);
}

/// The processes to start here: those that the configuration asks for, else one a GPU, one on a CPU.
int64_t processes_to_start(const DistributedSettings& distributed) {
  return distributed.processes().value_or(distributed.on_gpu() ? inspect_cuda().gpus : 1);
}

int train(const Options& options) {
  end_with_launcher();
  RunConfig config = read_run_config(options.config, options.overrides);
  const std::optional<Place> place = place_from(process_environment());
  const int64_t processes = place ? place->size : processes_to_start(config.distributed);
  check_processes(config, processes, place);
  if (!place && processes > 1) return launch_checked(config, processes);
  const std::chrono::duration<double> limit(config.distributed.timeout_seconds);
  Group group = place ? Group(*place, std::chrono::duration_cast<std::chrono::milliseconds>(limit)) : Group();
  TrainingRun(std::move(config), std::move(group)).run();
  return 0;
}

}  // namespace

void add_train_command(CLI::App& app, CommandResult& result) {
  auto options = std::make_shared<Options>();
  auto* command =
      app.add_subcommand("train", "Trains as a configuration says; goes on with an interrupted run");
  command->add_option("config", options->config, "Configuration file (JSON)")->required();
  command->add_option("overrides", options->overrides,
                      "Settings in place of the file's: train.learning_rate=0.003");
  command->footer(
      "Example: excitor train configs/tiny-world/excitor.json train.epochs=1 output_dir=/tmp/try");
  command->callback([options, &result] { result.exit_code = train(*options); });
}

}  // namespace excitor
