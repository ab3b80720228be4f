#include "run_part.h"

#include <string>

#include <nlohmann/json.hpp>

namespace excitor {
namespace {

constexpr const char* kEvaluation = "evaluation";
constexpr const char* kRung = "rung";

Unfinished parse_unfinished(const std::string& word) {
  return word == kEvaluation ? Unfinished::evaluation
         : word == kRung     ? Unfinished::rung
                             : Unfinished::nothing;
}

}  // namespace

Json ResumeState::json() const {
  Json json = {{"bad_steps_in_a_row", bad_steps_in_a_row}};
  if (unfinished != Unfinished::nothing)
    json["unfinished"] = unfinished == Unfinished::rung ? kRung : kEvaluation;
  if (best.eval_loss) {
    json.update({{"best_eval_loss", *best.eval_loss},
                 {"best_step", best.step},
                 {"evaluations_since_best", best.evaluations_since}});
  }
  return json;
}

ResumeState ResumeState::from_json(const Json& json) {
  ResumeState state{.bad_steps_in_a_row = json.value("bad_steps_in_a_row", int64_t{0}),
                    .unfinished = parse_unfinished(json.value("unfinished", "")),
                    .best = {}};
  if (!json.contains("best_eval_loss")) return state;
  state.best = {.eval_loss = json["best_eval_loss"].get<double>(),
                .step = json["best_step"].get<int64_t>(),
                .evaluations_since = json["evaluations_since_best"].get<int64_t>()};
  return state;
}

}  // namespace excitor
