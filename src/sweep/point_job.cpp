#include <excitor/sweep/point_job.h>

#include <array>
#include <new>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/run/training_run.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/system.h>

namespace excitor {
namespace {

constexpr std::array kEnds{"finished", "paused", "stopped", "failed"};

PointReport train_point(RunConfig config, const RunPart& part, SharedInputs& inputs) {
  try {
    const RunOutcome outcome = TrainingRun(std::move(config), Group(), &inputs).run(part);
    return {.end = outcome == RunOutcome::paused ? PointEnd::paused : PointEnd::finished};
  } catch (const Interrupted& stop) {
    return {.end = PointEnd::stopped, .error = stop.what(), .signal = stop.exit_code() - 128};
  } catch (const std::bad_alloc&) {
    return {.end = PointEnd::failed, .error = "out of memory"};
  } catch (const std::exception& error) {
    return {.end = PointEnd::failed, .error = error.what()};
  }
}

}  // namespace

PointReport run_point(RunConfig config, const RunPart& part, SharedInputs& inputs) {
  reset_peak_memory();
  PointReport report = train_point(std::move(config), part, inputs);
  log::close_file();
  return report;
}

Json order_of(RunConfig config, const RunPart& part) {
  return {{"config", write_run_config(config)},
          {"source", config.source},
          {"rungs", part.rungs},
          {"pause_at", part.pause_at ? Json(*part.pause_at) : Json()}};
}

std::pair<RunConfig, RunPart> read_order(const Json& order) {
  Problems problems;
  RunConfig config =
      read_run_config(order.at("config"), order.at("source").get<std::string>(), problems, problems);
  problems.throw_if_any(config.source);
  RunPart part{.rungs = order.at("rungs").get<std::vector<double>>()};
  if (!order.at("pause_at").is_null()) part.pause_at = order["pause_at"].get<size_t>();
  return {std::move(config), std::move(part)};
}

Json answer_of(const PointReport& report) {
  return {
      {"end", kEnds.at(static_cast<size_t>(report.end))}, {"error", report.error}, {"signal", report.signal}};
}

PointReport read_answer(const Json& answer) {
  PointReport report{.error = answer.at("error").get<std::string>(),
                     .signal = answer.at("signal").get<int>()};
  for (size_t i = 0; i < kEnds.size(); ++i)
    if (answer.at("end") == kEnds[i]) report.end = static_cast<PointEnd>(i);
  return report;
}

}  // namespace excitor
