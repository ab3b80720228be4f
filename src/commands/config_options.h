// The configuration that a command works on: its file, and settings in place of the file's.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace excitor {

struct ConfigOptions {
  std::string file;
  std::vector<std::string> overrides;  ///< "train.learning_rate=0.003"
};

/// Adds both as the command's arguments. `example` of an override stands in its help.
void add_config_options(CLI::App& command, ConfigOptions& options, const std::string& example);

}  // namespace excitor
