// excitor report: the page of a run, made again from its files.
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include <excitor/report/run_report.h>

#include "commands.h"

namespace excitor {
namespace {

struct ReportOptions {
  std::string folder;
  std::string output;
};

void write_report(const ReportOptions& options) {
  namespace fs = std::filesystem;
  const fs::path file =
      options.output.empty() ? fs::path(options.folder) / "report.html" : fs::path(options.output);
  write_run_report(options.folder, file);
  std::cout << file.string() << "\n";
}

}  // namespace

void add_report_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<ReportOptions>();
  auto* command = app.add_subcommand("report", "Makes report.html of a run from its files, once more");
  command->add_option("run", options->folder, "The output_dir of a run")->required();
  command->add_option("--output", options->output, "The page's file (default: report.html in the run)");
  command->footer("Example: excitor report runs/tiny-world-excitor");
  command->callback([options] { write_report(*options); });
}

}  // namespace excitor
