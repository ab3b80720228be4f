#include <excitor/run/run_part.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

namespace excitor {
namespace {

constexpr std::array kUnfinished{"nothing", "evaluation", "tasks", "rung"};

Unfinished parse_unfinished(const std::string& word) {
  const auto found = std::ranges::find(kUnfinished, word);
  return found == kUnfinished.end() ? Unfinished::nothing
                                    : static_cast<Unfinished>(found - kUnfinished.begin());
}

}  // namespace

Json ResumeState::json() const {
  Json json = {{"bad_steps_in_a_row", bad_steps_in_a_row}};
  if (unfinished != Unfinished::nothing) json["unfinished"] = kUnfinished.at(static_cast<size_t>(unfinished));
  if (best.eval_loss) {
    json.update({{"best_eval_loss", *best.eval_loss},
                 {"best_step", best.step},
                 {"evaluations_since_best", best.evaluations_since}});
  }
  return json;
}

Json Origins::json() const {
  return {{"base_fingerprint", base_fingerprint},
          {"tokenizer_sha256", tokenizer_sha256},
          {"data_sha256", data_sha256}};
}

std::vector<std::string> Origins::differences(const Json& recorded) const {
  const std::map<std::string, std::string> words{
      {"base_fingerprint", "the weights of the base model"},
      {"tokenizer_sha256", "the tokenizer"},
      {"data_sha256", "the files of data.train or data.validation"}};
  std::vector<std::string> different;
  const Json own = json();
  for (const auto& [key, value] : own.items()) {
    const std::string found = recorded.value(key, "");
    if (!found.empty() && value != "" && value != found) different.push_back(words.at(key));
  }
  return different;
}

ResumeState ResumeState::from_json(const Json& json) {
  ResumeState state{.bad_steps_in_a_row = json.value("bad_steps_in_a_row", int64_t{0}),
                    .unfinished = parse_unfinished(json.value("unfinished", "")),
                    .best = {}};
  // null: a loss that was not finite, as earlier versions wrote it.
  if (!json.contains("best_eval_loss") || !json["best_eval_loss"].is_number()) return state;
  state.best = {.eval_loss = json["best_eval_loss"].get<double>(),
                .step = json["best_step"].get<int64_t>(),
                .evaluations_since = json["evaluations_since_best"].get<int64_t>()};
  return state;
}

}  // namespace excitor
