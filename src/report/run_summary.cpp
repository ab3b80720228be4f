#include <excitor/report/run_summary.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/report/run_history.h>
#include <excitor/util/files.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// The events of metrics.jsonl that whole lines hold; read_run_history has refused what is none.
std::vector<Json> events_of(const fs::path& file) {
  std::vector<Json> events;
  const std::string text = read_file(file);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    events.push_back(Json::parse(text.substr(begin, end - begin)));
  return events;
}

bool is_run(const fs::path& folder) {
  return fs::exists(folder / "config.json") && fs::exists(folder / "metrics.jsonl");
}

void copy_numbers(const Json& from, std::initializer_list<const char*> keys, Json& to) {
  for (const char* key : keys)
    if (from.is_object() && from.contains(key) && from[key].is_number()) to[key] = from[key];
}

bool is_evaluation(const Json& event) {
  return event["event"] == "eval" || event["event"] == "rung";
}

/// The evaluation of the weights that the run keeps.
Json kept_evaluation(const std::vector<Json>& events, const Json& config, const Json& best) {
  const bool keeps_best = config.contains("checkpoint") &&
                          config["checkpoint"].value("load_best_model_at_end", false) && !best.is_null();
  Json kept;
  for (const Json& event : events) {
    if (is_evaluation(event) && (!keeps_best || event["step"] == best["step"])) kept = event;
  }
  return kept;
}

/// The last evaluation that scored the benchmarks, up to the kept one.
Json kept_tasks(const std::vector<Json>& events, const Json& kept) {
  Json tasks = Json::array();
  for (const Json& event : events) {
    if (is_evaluation(event) && event.contains("tasks") && event["step"] <= kept["step"])
      tasks = event["tasks"];
  }
  return tasks;
}

void add_task_figures(const Json& tasks, Json& out) {
  for (const Json& task : tasks) {
    const std::string name = task.at("name").get<std::string>() + ".";
    for (const auto& [metric, value] : task.at("metrics").items()) {
      if (!value.is_number()) continue;
      out[name + metric] = value;
      const Json& base = task.at("base_metrics");
      if (value.is_number_float() && base.contains(metric) && base[metric].is_number())
        out[name + metric + "_change"] = value.get<double>() - base[metric].get<double>();
    }
  }
}

std::optional<double> train_loss(const std::vector<Json>& events) {
  constexpr size_t kSteps = 10;
  std::vector<double> losses;
  for (auto event = events.rbegin(); event != events.rend() && losses.size() < kSteps; ++event) {
    if ((*event)["event"] == "step" && (*event)["loss"].is_number())
      losses.push_back((*event)["loss"].get<double>());
  }
  if (losses.empty()) return std::nullopt;
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

int64_t peak_memory(const std::vector<Json>& events) {
  int64_t peak = 0;
  for (const Json& event : events) peak = std::max(peak, event.value("peak_memory_bytes", int64_t{0}));
  return peak;
}

Json summarise(const std::vector<Json>& events, const Json& config) {
  RunHistory gathered;
  for (const Json& event : events) gathered.add(event);
  const Json history = gathered.json();
  Json out = Json::object();
  const Json evaluation = kept_evaluation(events, config, history["best"]);
  copy_numbers(evaluation, {"eval_loss", "base_loss"}, out);
  if (out.contains("eval_loss") && out.contains("base_loss"))
    out["gain"] = out["base_loss"].get<double>() - out["eval_loss"].get<double>();
  copy_numbers(evaluation, {"forgetting", "kl", "held_out_loss"}, out);
  if (!evaluation.is_null()) add_task_figures(kept_tasks(events, evaluation), out);
  if (const auto loss = train_loss(events)) out["train_loss"] = *loss;
  out["steps"] = history["last_step"];
  copy_numbers(history, {"tokens", "seconds"}, out);
  const double seconds = out.value("seconds", 0.0);
  if (seconds > 0) out["tokens_per_second"] = out["tokens"].get<double>() / seconds;
  out["peak_memory_bytes"] = peak_memory(events);
  copy_numbers(history["start"], {"trainable_parameters", "base_parameters"}, out);
  return out;
}

/// Whether the run has been looked at after that step, or has ended.
bool has_reached(const std::vector<Json>& events, int64_t step) {
  return std::ranges::any_of(events, [&](const Json& event) {
    return event["event"] == "end" || (is_evaluation(event) && event["step"] == step);
  });
}

}  // namespace

Json summarise_run(const fs::path& folder) {
  if (!is_run(folder)) return Json::object();
  read_run_history(folder / "metrics.jsonl");  // names the line where one is none
  return summarise(events_of(folder / "metrics.jsonl"), read_json_file(folder / "config.json"));
}

int64_t rung_step(double share, int64_t total_steps) {
  constexpr double kRounding = 1e-9;  // 0.1 * 30 is a little more than 3
  return static_cast<int64_t>(std::ceil(share * static_cast<double>(total_steps) - kRounding));
}

Json summarise_rung(const fs::path& folder, double share) {
  if (!is_run(folder)) return Json::object();
  read_run_history(folder / "metrics.jsonl");
  std::vector<Json> events = events_of(folder / "metrics.jsonl");
  const auto start =
      std::ranges::find_if(events, [](const Json& event) { return event["event"] == "start"; });
  if (start == events.end()) return Json::object();
  const int64_t step = rung_step(share, start->at("total_steps").get<int64_t>());
  if (!has_reached(events, step)) return Json::object();
  std::erase_if(events, [&](const Json& event) { return event.value("step", int64_t{0}) > step; });
  return summarise(events, read_json_file(folder / "config.json"));
}

}  // namespace excitor
