#include <excitor/report/run_history.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

namespace excitor {
namespace {

// What one page holds: a third of a megabyte at the most for a run of any length.
constexpr size_t kPoints = 300;
constexpr size_t kHealthEvents = 12;  // a value for each head of each layer
constexpr size_t kSampleEvents = 8;

template <class Curves>
Curves make_curves(std::initializer_list<const char*> names) {
  Curves curves;
  for (const char* name : names) curves.emplace_back(name, ThinnedCurve(kPoints));
  return curves;
}

int64_t step_of(const Json& event) {
  return event.at("step").get<int64_t>();
}

}  // namespace

RunHistory::RunHistory()
    : steps_(make_curves<Curves>(
          {"loss", "learning_rate", "grad_norm", "tokens_per_second", "peak_memory_bytes"})),
      evaluations_(make_curves<Curves>(
          {"eval_loss", "base_loss", "forgetting", "kl", "held_out_loss", "held_out_base_loss"})),
      health_(kHealthEvents),
      samples_(kSampleEvents) {}

void RunHistory::add(const Json& event) {
  const auto kind = event.at("event").get<std::string>();
  if (kind == "start") return add_start(event);
  if (kind == "step") return add_step(event);
  if (kind == "eval") return add_evaluation(event);
  if (kind == "rung") return add_values(event, evaluations_);
  if (kind == "health") return health_.add(rounded(event, 3));
  if (kind == "never_moved") never_moved_ = event.at("parameters").get<std::vector<std::string>>();
  if (kind == "end") end_ = event;
}

void RunHistory::add_start(const Json& event) {
  if (!start_.is_null()) resumed_at_.push_back(step_of(event));
  start_ = event;
  end_ = Json();
}

void RunHistory::add_step(const Json& event) {
  last_step_ = step_of(event);
  ++recorded_steps_;
  recorded_tokens_ += event.at("tokens").get<double>();
  recorded_seconds_ += event.at("seconds").get<double>();
  add_values(event, steps_);
}

void RunHistory::add_evaluation(const Json& event) {
  latest_ = event;
  for (const char* longer : {"samples", "tasks"}) latest_.erase(longer);
  add_values(event, evaluations_);
  add_tasks(event);
  if (event.contains("samples")) samples_.add({{"step", step_of(event)}, {"samples", event.at("samples")}});
  const Json& loss = event.contains("eval_loss") ? event.at("eval_loss") : Json();
  if (loss.is_number() && (best_.is_null() || loss < best_.at("eval_loss")))
    best_ = {{"step", step_of(event)}, {"eval_loss", loss}};
}

void RunHistory::add_tasks(const Json& event) {
  if (!event.contains("tasks")) return;
  tasks_ = event.at("tasks");
  for (const Json& task : tasks_) {
    Curves& curves = task_curves_[task.at("name").get<std::string>()];
    for (const auto& [metric, value] : task.at("metrics").items()) {
      if (!value.is_number_float()) continue;
      auto place = std::ranges::find_if(curves, [&](const auto& curve) { return curve.first == metric; });
      if (place == curves.end()) place = curves.insert(place, {metric, ThinnedCurve(kPoints)});
      place->second.add(step_of(event), value.get<double>());
    }
  }
}

Json RunHistory::tasks_json() const {
  Json tasks = tasks_;
  for (Json& task : tasks) task["curves"] = json_of(task_curves_.at(task["name"].get<std::string>()));
  return tasks;
}

void RunHistory::add_values(const Json& event, Curves& curves) {
  for (auto& [name, curve] : curves) {
    if (!event.contains(name)) continue;
    const Json& value = event.at(name);  // null where it was not finite
    curve.add(step_of(event),
              value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  }
}

Json RunHistory::json_of(const Curves& curves) {
  Json json = Json::object();
  for (const auto& [name, curve] : curves)
    if (!curve.empty()) json[name] = curve.json();
  return json;
}

Json RunHistory::json() const {
  // Where not every step has an event, those that have one stand for the others.
  const double share =
      static_cast<double>(last_step_) / static_cast<double>(std::max<int64_t>(recorded_steps_, 1));
  return {{"start", start_},
          {"end", end_},
          {"resumed_at", resumed_at_},
          {"last_step", std::max(last_step_, end_.is_null() ? 0 : step_of(end_))},
          {"steps", recorded_steps_},
          {"tokens", recorded_tokens_ * share},
          {"seconds", recorded_seconds_ * share},
          {"curves", json_of(steps_)},
          {"evaluations", json_of(evaluations_)},
          {"latest", latest_},
          {"tasks", tasks_json()},
          {"best", best_},
          {"health", health_.json()},
          {"samples", samples_.json()},
          {"never_moved", never_moved_}};
}

RunHistory read_run_history(const std::filesystem::path& metrics_file) {
  const MappedFile file(metrics_file);
  RunHistory history;
  const std::string_view text = file.text();
  size_t number = 0;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
    ++number;
    try {
      history.add(Json::parse(text.substr(begin, end - begin)));
    } catch (const Json::exception& error) {
      throw DataError(fmt::format(
          "{}:{}: expected an event of a run as excitor train writes it, one JSON object a line; {}; put the "
          "line right or remove it",
          metrics_file.string(), number, error.what()));
    }
  }
  return history;
}

}  // namespace excitor
