// excitor train
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <excitor/commands/run_config.h>

#include "commands.h"
#include "training_run.h"

namespace excitor {

void add_train_command(CLI::App& app, CommandResult&) {
  struct Options {
    std::string config;
    std::vector<std::string> overrides;
  };
  auto options = std::make_shared<Options>();
  auto* command =
      app.add_subcommand("train", "Trains as a configuration says; goes on with an interrupted run");
  command->add_option("config", options->config, "Configuration file (JSON)")->required();
  command->add_option("overrides", options->overrides,
                      "Settings in place of the file's: train.learning_rate=0.003");
  command->footer(
      "Example: excitor train configs/tiny-world/excitor.json train.epochs=1 output_dir=/tmp/try");
  command->callback([options] { TrainingRun(read_run_config(options->config, options->overrides)).run(); });
}

}  // namespace excitor
