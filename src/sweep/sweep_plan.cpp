#include <excitor/sweep/sweep_plan.h>

#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/run/shared_inputs.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/settings.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// Problems that points have in common, told once.
class PointProblems {
 public:
  void add(const std::string& line, size_t point, const SweepPoint& settings) {
    auto [place, is_new] = of_line_.try_emplace(line, lines_.size());
    if (is_new) lines_.push_back({line, point, settings.dump(), 0});
    ++lines_[place->second].points;
  }

  /// Throws ConfigError unless there are none.
  void throw_if_any(const std::string& source) const {
    constexpr size_t kMost = 20;
    Problems problems;
    for (const Line& line : lines_) {
      if (problems.lines().size() == kMost) break;
      const std::string others = line.points > 1 ? fmt::format(" and {} more points", line.points - 1) : "";
      problems.add("", fmt::format("{} (point {}: {}{})", line.text, line.first, line.settings, others));
    }
    if (lines_.size() > kMost) problems.add("", fmt::format("and {} more", lines_.size() - kMost));
    problems.throw_if_any(source);
  }

 private:
  struct Line {
    std::string text;
    size_t first = 0;  ///< point, from 1
    std::string settings;
    size_t points = 0;
  };
  std::vector<Line> lines_;
  std::map<std::string, size_t> of_line_;
};

/// Messages of points that are only checked stay off the terminal while it lives: they come again with the
/// run, and there may be thousands.
class QuietTerminal {
 public:
  QuietTerminal() { log::set_terminal_level(log::Level::error); }
  ~QuietTerminal() { log::set_terminal_level(log::Level::info); }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
};

void check_for_sweep(const RunConfig& config, Problems& problems) {
  if (config.checkpoint.resume == Resume::never)
    problems.add("checkpoint.resume", "is \"never\", and a sweep goes on where it stopped; leave it out");
  if (config.distributed.on_gpu()) return;  // the GPUs to spread the points over
  if (config.distributed.processes().value_or(1) > 1) {
    problems.add("distributed.devices",
                 "a point of a sweep is trained by one process; leave it out (sweep.parallel trains several "
                 "points at a time), or run the points with excitor train");
  }
}

/// The shapes of bases, each read once.
const LlamaConfig& shape_of(const ModelSettings& model, std::map<std::string, LlamaConfig>& known) {
  if (model.init) return *model.init;
  if (!known.contains(model.path)) known.emplace(model.path, model.shape());
  return known.at(model.path);
}

class Planner {
 public:
  Planner(fs::path file, Json base, SweepSettings settings) : file_(std::move(file)), base_(std::move(base)) {
    plan_.settings = std::move(settings);
  }

  void add(const SweepPoint& settings) {
    ++number_;
    Problems problems;
    try {
      PlannedRun run{.settings = settings, .config = read(settings, problems)};
      if (problems.empty()) finish(std::move(run), problems);
    } catch (const Error& error) {
      problems.add("", error.what());
    }
    for (const std::string& line : problems.lines()) problems_.add(line, number_, settings);
  }

  SweepPlan plan() {
    problems_.throw_if_any(file_.string());
    if (equal_ > 0)
      log::warning(
          fmt::format("{} points have the configuration of an earlier one and are left out", equal_));
    return std::move(plan_);
  }

 private:
  RunConfig read(const SweepPoint& settings, Problems& problems) const {
    Json json = base_;
    for (const auto& [key, value] : settings.items()) apply_override(json, key + "=" + value.dump());
    Problems missing;
    RunConfig config = read_run_config(std::move(json), file_, problems, missing);
    problems.append(missing);
    return config;
  }

  void finish(PlannedRun run, Problems& problems) {
    const LlamaConfig& shape = shape_of(run.config.model, shapes_);
    check_for_sweep(run.config, problems);
    check_metrics(plan_.settings, run.config, problems);
    run.config.method.method->check(shape, "method", problems);
    if (!problems.empty()) return;
    run.config.method.method->resolve(shape);
    const Json resolved = write_run_config(run.config);
    run.id = sweep_run_id(resolved);
    run.inputs_keys = base_key(resolved) + data_key(resolved);
    plan_.output_dir = run.config.output_dir;
    run.config.output_dir = (plan_.output_dir / "runs" / run.id).string();
    if (ids_.insert(run.id).second)
      plan_.runs.push_back(std::move(run));
    else
      ++equal_;
  }

  fs::path file_;
  Json base_;
  size_t number_ = 0;  ///< of the point, from 1
  size_t equal_ = 0;
  std::set<std::string> ids_;
  std::map<std::string, LlamaConfig> shapes_;
  PointProblems problems_;
  SweepPlan plan_;
};

}  // namespace

SweepPlan plan_sweep(const fs::path& file, const std::vector<std::string>& overrides) {
  Json json = read_config_json(file, overrides);
  if (!json.contains("sweep") || json["sweep"].is_null()) {
    throw ConfigError(
        fmt::format("{}: has no section sweep; name what to vary, as in \"sweep\": "
                    "{{\"train.learning_rate\": [1e-3, 3e-4]}}, or "
                    "train one run with excitor train",
                    file.string()));
  }
  const std::vector<SweepPoint> points = expand_sweep(json["sweep"], file.string());
  Problems problems;
  SweepSettings settings = read_sweep_settings(json["sweep"], problems);
  problems.throw_if_any(file.string());
  json.erase("sweep");
  Planner planner(file, std::move(json), std::move(settings));
  {
    const QuietTerminal quiet;
    for (const SweepPoint& point : points) planner.add(point);
  }
  return planner.plan();
}

}  // namespace excitor
