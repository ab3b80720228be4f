// excitor schema: the configuration described for editors and for people.
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/run/run_config.h>
#include <excitor/sweep/sweep_points.h>

#include "commands.h"

namespace excitor {

void add_schema_command(CLI::App& app, CommandResult&) {
  auto* command = app.add_subcommand("schema", "JSON Schema of the configuration, for editors");
  auto reference = std::make_shared<bool>(false);
  command->add_flag("--reference", *reference, "Print a Markdown page of every key instead");
  command->footer("Example: excitor schema > excitor.schema.json");
  command->callback([reference] {
    if (*reference) {
      std::cout << run_config_reference() << sweep_reference();
    } else {
      Json schema = run_config_schema();
      schema["properties"]["sweep"] = sweep_schema();
      std::cout << schema.dump(2) << "\n";
    }
  });
}

}  // namespace excitor
