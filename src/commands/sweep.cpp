// excitor sweep
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/sweep/sweep_runner.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

#include "commands.h"
#include "config_options.h"

namespace excitor {
namespace {

struct Options {
  ConfigOptions config;
  bool dry_run = false;
  bool json = false;
};

void print_points(const SweepPlan& plan) {
  for (const PlannedRun& run : plan.runs) std::cout << fmt::format("{} {}\n", run.id, run.settings.dump());
}

void print_results(const SweepRunner& sweep, bool as_json) {
  constexpr size_t kRows = 50;
  const std::vector<SweepRow> rows = sweep.ranking();
  if (as_json) {
    std::cout << results_jsonl(rows);
    return;
  }
  std::cout << results_table(rows, kRows);
  const std::string seeds = results_over_seeds(rows, sweep.rule());
  if (seeds.empty()) return;
  std::cout << "\n" << seeds;
  if (const auto methods = compare_methods(rows, sweep.rule()); !methods.empty())
    std::cout << "\n" << markdown_table(methods);
}

int sweep(const Options& options) {
  SweepPlan plan = plan_sweep(options.config.file, options.config.overrides);
  if (options.dry_run) {
    print_points(plan);
    return 0;
  }
  log::info(fmt::format("{} points, all of them valid; results go to {}", plan.runs.size(),
                        plan.output_dir.string()));
  const size_t points = plan.runs.size();
  SweepRunner sweep(std::move(plan));
  sweep.run();
  print_results(sweep, options.json);
  if (const int64_t failed = sweep.count("failed"); failed > 0)
    throw Error(fmt::format("{} of {} points failed; results.jsonl says why", failed, points));
  log::info(fmt::format("the ranking lies in {}", (sweep.output_dir() / "report.html").string()));
  return 0;
}

}  // namespace

void add_sweep_command(CLI::App& app, CommandResult& result) {
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand(
      "sweep",
      "Trains every point of a configuration's section sweep and ranks them; goes on where it stopped");
  add_config_options(*command, options->config, "train.epochs=1, or sweep={...}");
  command->add_flag("--dry-run", options->dry_run, "Check all points and list them; train nothing");
  command->add_flag("--json", options->json, "Print the ranking as JSON, one point a line");
  command->footer(
      "Example: excitor sweep run.json 'sweep={\"method.type\": [\"excitor\", \"lora\"], \"train.seed\": [0, "
      "1]}'");
  command->callback([options, &result] { result.exit_code = sweep(*options); });
}

}  // namespace excitor
