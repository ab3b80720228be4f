#include <excitor/sweep/sweep_runner.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/device/device.h>
#include <excitor/model/checkpoint.h>
#include <excitor/report/run_history.h>
#include <excitor/report/run_summary.h>
#include <excitor/report/sweep_report.h>
#include <excitor/run/run_data.h>
#include <excitor/run/run_part.h>
#include <excitor/train/run_folder.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>

#include "halving.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

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
  std::ranges::stable_sort(order, {}, [&](size_t i) { return first.at(runs[i].inputs_keys); });
  return order;
}

/// The GPUs that the points are spread over; none: the CPU.
std::vector<int64_t> gpus_of(const DistributedSettings& distributed) {
  if (!distributed.on_gpu()) return {};
  std::vector<int64_t> gpus;
  for (int64_t i = 0; i < distributed.processes().value_or(inspect_cuda().gpus); ++i)
    gpus.push_back(distributed.gpu_of(i));
  return gpus;
}

/// One point a GPU; on a CPU as many as are asked for. Throws ConfigError for more points than GPUs.
PoolPlaces places_for(const SweepPlan& plan) {
  const RunConfig& config = plan.runs.front().config;
  PoolPlaces places{.processes = 1, .gpus = gpus_of(config.distributed)};
  const auto gpus = std::ssize(places.gpus);
  if (plan.settings.parallel.is_number())
    places.processes = plan.settings.parallel.get<int64_t>();
  else if (gpus > 0)
    places.processes = gpus;
  if (gpus > 0 && places.processes > gpus)
    throw ConfigError(
        fmt::format("{}: sweep.parallel: {} points at a time, but there are {} GPUs to train them on",
                    config.source, places.processes, gpus));
  places.processes = std::min<int64_t>(places.processes, std::ssize(plan.runs));
  return places;
}

/// What a run of this configuration would be computed from; random weights are as good as their settings.
Origins origins_of(const RunConfig& config) {
  Origins origins{.data_sha256 = hash_run_data(config.data)};
  if (config.model.init) return origins;
  const LlamaConfig shape = config.model.shape();
  origins.base_fingerprint = base_fingerprint(open_weights(config.model.path, shape), weight_shapes(shape));
  return origins;
}

/// Waits for a process of a killed sweep that is still saving its checkpoint.
void wait_until_free(const fs::path& folder) {
  constexpr std::chrono::milliseconds kPause(100);
  constexpr int kTries = 600;
  for (int i = 0; fs::exists(folder); ++i) {
    try {
      const FolderLock lock(folder);
      return;
    } catch (const IoError&) {
      if (i == kTries) throw;
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

SweepRunner::SweepRunner(SweepPlan plan) : plan_(std::move(plan)), places_(places_for(plan_)) {
  for (size_t i = 0; i < plan_.runs.size(); ++i) rows_.push_back(row_of(plan_.runs[i], i));
}

void SweepRunner::run() {
  check_is_no_run();
  RunFolder(plan_.output_dir).check_writable();
  make_writable_folder(plan_.output_dir / "runs");
  const FolderLock lock(plan_.output_dir);
  remove_temporaries(plan_.output_dir);
  const StopSignals signals;
  gather();
  try {
    run_all();
  } catch (...) {
    write_results_or_warn();  // what ended the sweep is what is told
    throw;
  }
  write_results();
}

void SweepRunner::run_all() {
  if (places_.processes > 1) {
    log::info(fmt::format("{} points at a time", places_.processes));
    pool_ = std::make_unique<WorkerPool>(
        plan_.runs, places_,
        JobEvents{.begins = [this](const PointJob& job) { begin(job); },
                  .ends = [this](const PointJob& job, const PointReport& report) { end(job, report); }});
  }
  std::vector<double> rungs;
  if (plan_.settings.early_stop) rungs = plan_.settings.early_stop->shares();
  for (size_t rung = 0; rung < rungs.size(); ++rung) climb(rung);
  work(jobs({.rungs = rungs}, [this](const SweepRow& row) { return is_alive(row); }));
}

std::vector<SweepRow> SweepRunner::ranking() const {
  return ranked(rows_, rule());
}

Ranking SweepRunner::rule() const {
  const SweepSettings& settings = plan_.settings;
  return ranking_by(settings.metric.value_or(default_ranking(rows_).metric), settings.direction);
}

int64_t SweepRunner::count(const char* state) const {
  return std::ranges::count(rows_, state, &SweepRow::state);
}

void SweepRunner::check_is_no_run() const {
  if (RunFolder(plan_.output_dir).state() == RunState::none) return;
  throw ConfigError(fmt::format(
      "output_dir {} holds a single run; choose another one for the sweep, its runs go to runs/ below it",
      plan_.output_dir.string()));
}

fs::path SweepRunner::folder_of(const SweepRow& row) const {
  return plan_.output_dir / "runs" / row.id;
}

void SweepRunner::gather() {
  for (SweepRow& row : rows_) {
    wait_until_free(folder_of(row));
    look_at(row);
  }
  check_same_origins();
  if (const int64_t finished = count("finished"); finished > 0)
    log::info(fmt::format("{} of {} points are finished already", finished, rows_.size()));
}

void SweepRunner::check_same_origins() const {
  std::map<std::string, Origins> now;  // of runs that share base and data
  for (size_t i = 0; i < rows_.size(); ++i) {
    const fs::path folder = folder_of(rows_[i]);
    if (rows_[i].state == "waiting" || !fs::exists(folder / "metrics.jsonl")) continue;
    const Json start = read_run_history(folder / "metrics.jsonl").json().at("start");
    if (!start.is_object()) continue;
    const auto [origins, is_new] = now.try_emplace(plan_.runs[i].inputs_keys);
    if (is_new) origins->second = origins_of(plan_.runs[i].config);
    const std::vector<std::string> different = origins->second.differences(start);
    if (different.empty()) continue;
    throw ConfigError(
        fmt::format("{}: since point {} was trained {} changed, and points of different origins can't be "
                    "ranked; choose another output_dir, or bring back what it was trained with",
                    folder.string(), rows_[i].point, fmt::join(different, " and ")));
  }
}

void SweepRunner::look_at(SweepRow& row) const {
  const RunFolder folder(folder_of(row));
  const RunState state = folder.state();
  row.state = state == RunState::finished     ? "finished"
              : state == RunState::unfinished ? "stopped"
                                              : "waiting";
  row.results = summarise_run(folder.path());
}

bool SweepRunner::is_alive(const SweepRow& row) const {
  return row.state != "finished" && row.state != "failed" && row.state != "dropped";
}

template <class F>
std::vector<PointJob> SweepRunner::jobs(const RunPart& part, F&& wanted) const {
  std::vector<PointJob> jobs;
  for (const size_t index : running_order(plan_.runs))
    if (wanted(rows_[index])) jobs.push_back({.index = index, .part = part});
  return jobs;
}

void SweepRunner::climb(size_t rung) {
  const std::vector<double> rungs = plan_.settings.early_stop->shares();
  work(jobs({.rungs = rungs, .pause_at = rung}, [&](const SweepRow& row) {
    return is_alive(row) && summarise_rung(folder_of(row), rungs[rung]).empty();
  }));
  drop_behind(rung);
}

Ranking SweepRunner::halving_rule() const {
  const SweepSettings& settings = plan_.settings;
  const std::string of_sweep = settings.metric.value_or(default_ranking(rows_).metric);
  const bool is_own = settings.early_stop->metric && settings.early_stop->metric != settings.metric;
  return ranking_by(settings.early_stop->metric.value_or(of_sweep),
                    is_own ? Direction::automatic : settings.direction);
}

void SweepRunner::drop_behind(size_t rung) {
  const double share = plan_.settings.early_stop->shares()[rung];
  const Ranking rule = halving_rule();
  std::vector<SweepRow*> compared;
  std::vector<double> keys;
  for (SweepRow& row : rows_) {
    if (row.state == "failed" || row.state == "dropped") continue;
    const Json figures = summarise_rung(folder_of(row), share);
    if (figures.empty() && row.state != "finished") {
      log::warning(
          fmt::format("point {} passed rung {} before the sweep had it: it goes on, and is not compared",
                      row.point, rung + 1));
      continue;
    }
    compared.push_back(&row);
    keys.push_back(rule.key_of(figures));
  }
  if (compared.empty()) return;
  const std::vector<size_t> kept = survivors(keys, plan_.settings.early_stop->keep);
  for (size_t i = 0; i < compared.size(); ++i) {
    SweepRow& row = *compared[i];
    if (std::ranges::binary_search(kept, i) || row.state == "finished") continue;
    row.state = "dropped";
    row.rung = static_cast<int64_t>(rung) + 1;
  }
  log::info(fmt::format("rung {} ({:.0f} % of the steps): the best {} of {} points by {} go on", rung + 1,
                        100 * share, kept.size(), compared.size(), rule.metric));
}

void SweepRunner::work(const std::vector<PointJob>& jobs) {
  if (pool_) {
    pool_->run(jobs);
    if (const int signal = StopSignals::requested()) throw Interrupted(stopped_text(), signal);
    return;
  }
  for (const PointJob& job : jobs) {
    if (const int signal = StopSignals::requested()) throw Interrupted(stopped_text(), signal);
    begin(job);
    const PointReport report = run_point(plan_.runs[job.index].config, job.part, inputs_);
    end(job, report);
    if (report.end == PointEnd::stopped) throw Interrupted(stopped_text(), report.signal);
  }
}

void SweepRunner::begin(const PointJob& job) const {
  const SweepRow& row = rows_[job.index];
  log::info(fmt::format("point {} of {} {}: {}", row.point, rows_.size(), row.id, row.settings.dump()));
}

void SweepRunner::end(const PointJob& job, const PointReport& report) {
  SweepRow& row = rows_[job.index];
  look_at(row);
  if (report.end == PointEnd::paused) row.state = "paused";
  if (report.end == PointEnd::stopped) log::warning(fmt::format("point {}: {}", row.point, report.error));
  if (report.end == PointEnd::failed) {
    log::error(fmt::format("point {} failed, the others go on: {}", row.point, report.error));
    row.state = "failed";
    row.error = report.error;
  }
  if (report.end == PointEnd::finished && pool_)
    log::info(fmt::format("point {} of {} is finished after {:.1f} s in steps", row.point, rows_.size(),
                          row.results.value("seconds", 0.0)));
  write_results_now_and_then();
}

std::string SweepRunner::stopped_text() const {
  return fmt::format("the sweep is stopped, {} of {} points are finished; the same command goes on",
                     count("finished"), rows_.size());
}

void SweepRunner::write_results_now_and_then() {
  constexpr std::chrono::seconds kBetween(5);
  const auto now = std::chrono::steady_clock::now();
  if (now - last_write_ < kBetween) return;
  write_results_or_warn();
  last_write_ = std::chrono::steady_clock::now();
}

void SweepRunner::write_results_or_warn() const {
  try {
    write_results();
  } catch (const IoError& error) {
    log::warning(fmt::format("the results are not up to date: {}", error.what()));
  }
}

void SweepRunner::write_results() const {
  const std::vector<SweepRow> rows = ranking();
  write_file_atomically(plan_.output_dir / "results.jsonl", results_jsonl(rows));
  write_file_atomically(plan_.output_dir / "results.csv", results_csv(rows));
  write_file_atomically(plan_.output_dir / "report.html", sweep_report(plan_.output_dir, rows, rule()));
}

}  // namespace excitor
