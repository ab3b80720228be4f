#include <excitor/sweep/sweep_settings.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/run/run_config.h>

namespace excitor {
namespace {

constexpr std::array kSettings{"metric", "direction", "parallel", "early_stop"};

void check_parallel(const Json& parallel, Problems& problems) {
  constexpr int64_t kMost = 1024;
  const bool is_number =
      parallel.is_number_integer() && parallel.get<int64_t>() >= 1 && parallel.get<int64_t>() <= kMost;
  if (parallel == "auto" || is_number) return;
  problems.add("sweep.parallel", fmt::format("found {}, expected \"auto\" or a number of points from 1 to {}",
                                             parallel.dump(), kMost));
}

void check_halving(const HalvingSettings& halving, Problems& problems) {
  const Json& rungs = halving.rungs;
  const bool are_numbers =
      rungs.is_array() && !rungs.empty() &&
      std::all_of(rungs.begin(), rungs.end(), [](const Json& r) { return r.is_number(); });
  double before = 0;
  bool ascends = are_numbers;
  for (size_t i = 0; are_numbers && i < rungs.size(); ++i) {
    ascends &= rungs[i].get<double>() > before && rungs[i].get<double>() < 1;
    before = rungs[i].get<double>();
  }
  if (ascends) return;
  problems.add("sweep.early_stop.rungs",
               fmt::format("found {}, expected shares of a run's steps between 0 and 1 that ascend, as in "
                           "[0.25, 0.5]",
                           rungs.dump()));
}

/// What a run of this configuration records, but for the figures of benchmarks.
std::vector<std::string> figures_of(const RunConfig& config) {
  std::vector<std::string> figures{
      "train_loss",          "steps", "tokens", "seconds", "tokens_per_second", "peak_memory_bytes",
      "trainable_parameters"};
  if (config.data.val_size > 0 || !config.data.validation.empty())
    figures.insert(figures.begin(), {"eval_loss", "base_loss", "gain"});
  if (config.eval.forgetting) figures.insert(figures.end(), {"forgetting", "kl", "held_out_loss"});
  return figures;
}

void check_metric(const std::string& metric, const std::string& place, const RunConfig& config,
                  Problems& problems) {
  std::vector<std::string> figures = figures_of(config);
  if (std::ranges::find(figures, metric) != figures.end()) return;
  for (const EvalTaskSettings& task : config.eval.tasks) {
    if (metric.starts_with(task.name + ".")) return;
    figures.push_back(task.name + ".METRIC");
  }
  problems.add(place,
               fmt::format("found \"{}\", which these runs do not record; they record {} (eval_loss and "
                           "gain need data.val_size or data.validation, forgetting needs "
                           "eval.forgetting, NAME.accuracy needs a benchmark in eval.tasks)",
                           metric, fmt::join(figures, ", ")));
}

}  // namespace

void HalvingSettings::describe(Describer& d) {
  d.field("rungs", rungs, "Shares of a run's steps at which the points are compared, ascending.");
  d.field("keep", keep, "Share of the compared points that is trained on; at least one is.",
          Range{.minimum = 0, .maximum = 1, .open_minimum = true});
  d.field("metric", metric, "Figure that they are compared by; default: that of the ranking.");
}

void SweepSettings::describe(Describer& d) {
  d.field("metric", metric,
          "Figure that points are ranked by: a column of results.csv, such as eval_loss, forgetting, or of a "
          "benchmark NAME.accuracy; default: eval_loss, without validation data train_loss.");
  d.choice("direction", direction,
           {{"auto", Direction::automatic}, {"min", Direction::minimum}, {"max", Direction::maximum}},
           "Whether low or high is good; auto: high for gain, tokens_per_second, accuracies and caption "
           "metrics.");
  d.field("parallel", parallel,
          "Points that are trained at a time, each in a process with its own base; auto: one a GPU, and on a "
          "CPU one. On a CPU they share the cores unless OMP_NUM_THREADS says how many threads each has.");
  d.optional_object("early_stop", early_stop,
                    "Successive halving: points that are behind at a rung are trained no further.");
}

bool is_sweep_setting(const std::string& key) {
  return std::ranges::find(kSettings, key) != kSettings.end();
}

SweepSettings read_sweep_settings(const Json& sweep, Problems& problems) {
  SweepSettings settings;
  if (!sweep.is_object()) return settings;
  Json own = Json::object();
  for (const auto& [key, value] : sweep.items())
    if (is_sweep_setting(key)) own[key] = value;
  const size_t before = problems.lines().size();
  read_settings(
      own, [&](Describer& d) { settings.describe(d); }, {.path = "sweep"}, problems);
  if (problems.lines().size() > before) return settings;
  check_parallel(settings.parallel, problems);
  if (settings.early_stop) check_halving(*settings.early_stop, problems);
  return settings;
}

void check_metrics(const SweepSettings& settings, const RunConfig& config, Problems& problems) {
  if (settings.metric) check_metric(*settings.metric, "sweep.metric", config, problems);
  if (settings.early_stop && settings.early_stop->metric)
    check_metric(*settings.early_stop->metric, "sweep.early_stop.metric", config, problems);
}

Ranking ranking_by(const std::string& name, Direction direction) {
  const bool is_high =
      direction == Direction::automatic ? is_better_high(name) : direction == Direction::maximum;
  return {.metric = name, .higher_is_better = is_high};
}

}  // namespace excitor
