// excitor sweep
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/report/sweep_report.h>
#include <excitor/report/sweep_results.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>
#include <excitor/util/system.h>

#include "commands.h"
#include "shared_inputs.h"
#include "sweep_plan.h"
#include "training_run.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  bool dry_run = false;
  bool json = false;
};

SweepRow row_of(const PlannedRun& run, size_t index) {
  return {.point = static_cast<int64_t>(index) + 1,
          .id = run.id,
          .settings = run.settings,
          .state = "waiting",
          .error = "",
          .results = Json::object()};
}

/// The order of the runs: those that share base and data one after another, else the sweep's.
std::vector<size_t> running_order(const std::vector<PlannedRun>& runs) {
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < runs.size(); ++i) first.try_emplace(runs[i].inputs_keys, i);
  std::vector<size_t> order(runs.size());
  for (size_t i = 0; i < runs.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return first.at(runs[a].inputs_keys) < first.at(runs[b].inputs_keys);
  });
  return order;
}

/// All runs of a sweep, one after another.
class Sweep {
 public:
  explicit Sweep(SweepPlan plan) : plan_(std::move(plan)) {
    for (size_t i = 0; i < plan_.runs.size(); ++i) rows_.push_back(row_of(plan_.runs[i], i));
  }

  /// Runs what is not finished. Throws Interrupted after a signal; the results are written then too.
  void run() {
    check_is_no_run();
    RunFolder(plan_.output_dir).check_writable();
    make_writable_folder(plan_.output_dir / "runs");
    const FolderLock lock(plan_.output_dir);
    remove_temporaries(plan_.output_dir);
    const StopSignals signals;
    gather();
    try {
      for (const size_t index : running_order(plan_.runs)) run_if_unfinished(index);
    } catch (...) {
      write_results();
      throw;
    }
    write_results();
  }

  std::vector<SweepRow> ranking() const { return ranked(rows_, ranking_metric(rows_)); }

  int64_t count(const char* state) const {
    return std::count_if(rows_.begin(), rows_.end(), [&](const SweepRow& row) { return row.state == state; });
  }

  fs::path output_dir() const { return plan_.output_dir; }

 private:
  void check_is_no_run() const {
    if (RunFolder(plan_.output_dir).state() == RunState::none) return;
    throw ConfigError(fmt::format(
        "output_dir {} holds a single run; choose another one for the sweep, its runs go to runs/ below it",
        plan_.output_dir.string()));
  }

  /// What earlier starts of the sweep have left.
  void gather() {
    for (SweepRow& row : rows_) look_at(row);
    if (const int64_t finished = count("finished"); finished > 0)
      log::info(fmt::format("{} of {} points are finished already", finished, rows_.size()));
  }

  void look_at(SweepRow& row) const {
    const RunFolder folder(plan_.output_dir / "runs" / row.id);
    const RunState state = folder.state();
    row.state = state == RunState::finished     ? "finished"
                : state == RunState::unfinished ? "stopped"
                                                : "waiting";
    row.results = summarise_run(folder.path());
  }

  void run_if_unfinished(size_t index) {
    SweepRow& row = rows_[index];
    if (row.state == "finished") return;
    if (const int signal = StopSignals::requested()) throw Interrupted(stopped_text(), signal);
    log::info(fmt::format("point {} of {} {}: {}", row.point, rows_.size(), row.id, row.settings.dump()));
    try {
      train(plan_.runs[index]);
      look_at(row);
    } catch (const Interrupted& stop) {
      log::close_file();
      log::warning(stop.what());
      look_at(row);
      throw Interrupted(stopped_text(), stop.exit_code() - 128);
    } catch (const std::exception& error) {
      fail(row, error);
    }
    write_results_now_and_then();
  }

  /// Trains one point. The log file of the run ends with it.
  void train(const PlannedRun& planned) {
    reset_peak_memory();
    RunConfig config = planned.config;
    TrainingRun(std::move(config), Group(), &inputs_).run();
    log::close_file();
  }

  void fail(SweepRow& row, const std::exception& error) {
    const bool out_of_memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
    const std::string reason = out_of_memory ? "out of memory" : error.what();
    log::error(fmt::format("point {} failed, the others go on: {}", row.point, reason));
    log::close_file();
    look_at(row);
    row.state = "failed";
    row.error = reason;
  }

  std::string stopped_text() const {
    return fmt::format("the sweep is stopped, {} of {} points are finished; the same command goes on",
                       count("finished"), rows_.size());
  }

  /// Results of 10,000 short runs are not written 10,000 times; what was not written is read from the runs
  /// again.
  void write_results_now_and_then() {
    constexpr std::chrono::seconds kBetween(5);
    const auto now = std::chrono::steady_clock::now();
    if (now - last_write_ < kBetween) return;
    try {
      write_results();
    } catch (const IoError& error) {
      log::warning(fmt::format("the results are not up to date: {}", error.what()));
    }
    last_write_ = std::chrono::steady_clock::now();
  }

  void write_results() const {
    const std::string metric = ranking_metric(rows_);
    const std::vector<SweepRow> rows = ranked(rows_, metric);
    write_file_atomically(plan_.output_dir / "results.jsonl", results_jsonl(rows));
    write_file_atomically(plan_.output_dir / "results.csv", results_csv(rows));
    write_file_atomically(plan_.output_dir / "report.html", sweep_report(plan_.output_dir, rows, metric));
  }

  SweepPlan plan_;
  std::vector<SweepRow> rows_;  ///< of plan_.runs
  SharedInputs inputs_;
  std::chrono::steady_clock::time_point last_write_ = std::chrono::steady_clock::now();
};

void print_points(const SweepPlan& plan) {
  for (const PlannedRun& run : plan.runs) std::cout << fmt::format("{} {}\n", run.id, run.settings.dump());
}

int sweep(const Options& options) {
  SweepPlan plan = plan_sweep(options.config, options.overrides);
  if (options.dry_run) {
    print_points(plan);
    return 0;
  }
  log::info(fmt::format("{} points, all of them valid; results go to {}", plan.runs.size(),
                        plan.output_dir.string()));
  Sweep sweep(std::move(plan));
  sweep.run();
  constexpr size_t kRows = 50;
  const std::vector<SweepRow> rows = sweep.ranking();
  std::cout << (options.json ? results_jsonl(rows) : results_table(rows, kRows));
  if (const std::string seeds = results_over_seeds(rows, ranking_metric(rows));
      !options.json && !seeds.empty())
    std::cout << "\n" << seeds;
  if (const int64_t failed = sweep.count("failed"); failed > 0)
    throw Error(fmt::format("{} of {} points failed; results.jsonl says why", failed, rows.size()));
  log::info(fmt::format("the ranking lies in {}", (sweep.output_dir() / "report.html").string()));
  return 0;
}

}  // namespace

void add_sweep_command(CLI::App& app, CommandResult& result) {
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand(
      "sweep",
      "Trains every point of a configuration's section sweep and ranks them; goes on where it stopped");
  command->add_option("config", options->config, "Configuration file (JSON) with a section sweep")
      ->required();
  command->add_option("overrides", options->overrides,
                      "Settings in place of the file's: train.epochs=1, or sweep={...}");
  command->add_flag("--dry-run", options->dry_run, "Check all points and list them; train nothing");
  command->add_flag("--json", options->json, "Print the ranking as JSON, one point a line");
  command->footer(
      "Example: excitor sweep run.json 'sweep={\"method.type\": [\"excitor\", \"lora\"], \"train.seed\": [0, "
      "1]}'");
  command->callback([options, &result] { result.exit_code = sweep(*options); });
}

}  // namespace excitor
