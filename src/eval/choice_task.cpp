#include "choice_task.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include <excitor/util/python_text.h>

#include "context_tokens.h"
#include "intervals.h"

namespace excitor {
namespace {

/// Tokens that the longest choice puts into the model behind the context: its last one is only predicted.
int64_t longest_rest(const std::vector<std::vector<TokenId>>& choices) {
  size_t longest = 1;
  for (const auto& choice : choices) longest = std::max(longest, choice.size());
  return static_cast<int64_t>(longest) - 1;
}

std::string prompt_of(const ChoiceSample& sample, int64_t shots) {
  std::string prompt = sample.header;
  for (int64_t i = 0; i < shots; ++i) prompt += (*sample.shots)[static_cast<size_t>(i)];
  return prompt + sample.context;
}

/// The first of the best.
int64_t best_of(const std::vector<double>& scores) {
  return std::ranges::max_element(scores) - scores.begin();
}

/// Log-probability for each character; a choice without any is never the best.
std::vector<double> per_character(std::vector<double> logs, const std::vector<std::string>& choices) {
  for (size_t c = 0; c < logs.size(); ++c) {
    const auto characters = static_cast<double>(count_characters(choices[c]));
    logs[c] = characters > 0 ? logs[c] / characters : -std::numeric_limits<double>::infinity();
  }
  return logs;
}

}  // namespace

void ChoiceTask::prepare(const Tokenizer& tokenizer, int64_t context_length) {
  std::map<std::string, int64_t> subjects;
  for (const ChoiceSample& sample : samples_) {
    const bool has_shots = sample.shots && !sample.shots->empty();
    ChoiceQuestion question = has_shots || !sample.header.empty()
                                  ? tokenise_with_shots(sample, tokenizer, context_length)
                                  : tokenise(sample, tokenizer, context_length);
    // Of one subject and with as many shots: they begin alike.
    const int64_t subject = subjects.try_emplace(sample.subject, std::ssize(subjects)).first->second;
    question.group += subject << 32;
    questions_.push_back(std::move(question));
  }
}

ChoiceQuestion ChoiceTask::tokenise_with_shots(const ChoiceSample& sample, const Tokenizer& tokenizer,
                                               int64_t positions) {
  ChoiceQuestion question;
  for (const std::string& choice : sample.choices)
    question.choices.push_back(encode_choice(tokenizer, choice));
  FittedContext fitted =
      fit_context(tokenizer, std::ssize(*sample.shots), positions - longest_rest(question.choices),
                  [&](int64_t shots) { return prompt_of(sample, shots); });
  question.group = fitted.shots;
  question.context = std::move(fitted.ids);
  fewer_shots_ += fitted.shots < std::ssize(*sample.shots) ? 1 : 0;
  cut_ += fitted.is_cut ? 1 : 0;
  return question;
}

ChoiceQuestion ChoiceTask::tokenise(const ChoiceSample& sample, const Tokenizer& tokenizer,
                                    int64_t positions) {
  ChoiceTokens tokens = encode_choices(tokenizer, sample.context, sample.choices);
  cut_ += cut_context(tokens.context, positions - longest_rest(tokens.choices)) ? 1 : 0;
  return {.context = std::move(tokens.context), .choices = std::move(tokens.choices)};
}

Json ChoiceTask::layout() const {
  return {{"samples_with_fewer_shots", fewer_shots_}, {"samples_cut", cut_}};
}

TaskScores ChoiceTask::score(const ScoredModel& scored) const {
  TaskScores scores;
  add_samples(scores, score_choices(scored, questions_, rules_.scoring));
  return scores;
}

void ChoiceTask::add_samples(TaskScores& scores, const std::vector<std::vector<double>>& logs) const {
  std::vector<double> correct, correct_norm;
  std::vector<std::string> subjects;
  for (size_t i = 0; i < samples_.size(); ++i) {
    const ChoiceSample& sample = samples_[i];
    const int64_t best = best_of(logs[i]), best_norm = best_of(per_character(logs[i], sample.choices));
    correct.push_back(best == sample.answer ? 1 : 0);
    correct_norm.push_back(best_norm == sample.answer ? 1 : 0);
    subjects.push_back(sample.subject);
    Json row = {{"sample", sample.place}, {"answer", sample.answer}, {"prediction", best}};
    if (rules_.has_norm) row["prediction_norm"] = best_norm;
    row.update({{"correct", best == sample.answer}, {"scores", logs[i]}});
    scores.samples.push_back(std::move(row));
  }
  add_share(scores, "accuracy", correct);
  if (rules_.has_norm) add_share(scores, "accuracy_norm", correct_norm);
  const bool has_subjects =
      std::ranges::any_of(subjects, [](const auto& subject) { return !subject.empty(); });
  if (has_subjects) scores.metrics["by_subject"] = means_by_name(subjects, correct);
}

}  // namespace excitor
