#include "config_options.h"

#include <CLI/CLI.hpp>

namespace excitor {

void add_config_options(CLI::App& command, ConfigOptions& options, const std::string& example) {
  command.add_option("config", options.file, "Configuration file (JSON)")->required();
  command.add_option("overrides", options.overrides, "Settings in place of the file's: " + example);
}

}  // namespace excitor
