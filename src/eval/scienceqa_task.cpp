#include "scienceqa_task.h"

#include <algorithm>
#include <utility>

#include "context_tokens.h"
#include "intervals.h"

namespace excitor {
namespace {

/// Room for the answer: the sentence alone, or lecture and solution before it (the original's limit).
int64_t longest_answer(ScienceFormat format) {
  return format == ScienceFormat::qcm_a ? 32 : 512;
}

/// The modalities overlap: a question may have a hint and an image.
Json by_modality(const std::vector<ScienceQuestion>& questions, const std::vector<double>& correct) {
  std::vector<std::string> names;
  std::vector<double> values;
  const auto count = [&](const char* name, double value) {
    names.emplace_back(name);
    values.push_back(value);
  };
  for (size_t i = 0; i < questions.size(); ++i) {
    const bool has_text = !questions[i].hint.empty(), has_image = !questions[i].image.empty();
    if (has_text) count("TXT", correct[i]);
    if (has_image) count("IMG", correct[i]);
    if (!has_text && !has_image) count("NO", correct[i]);
  }
  return means_by_name(names, values);
}

}  // namespace

void ScienceTask::prepare(const Tokenizer& tokenizer, int64_t context_length) {
  const int64_t room = context_length - std::min(longest_answer(format_), context_length / 2);
  for (const ScienceQuestion& question : split_.questions) {
    FittedContext fitted = fit_context(tokenizer, std::ssize(split_.shots), room, [&](int64_t shots) {
      std::string prompt;
      for (int64_t i = 0; i < shots; ++i)
        prompt += science_example(split_.shots[static_cast<size_t>(i)], format_) + "\n\n";
      return prompt + science_prompt(question);
    });
    fewer_shots_ += fitted.shots < std::ssize(split_.shots) ? 1 : 0;
    cut_ += fitted.is_cut ? 1 : 0;
    prompts_.push_back(std::move(fitted.ids));
  }
}

Json ScienceTask::layout() const {
  Json layout = {{"format", format_ == ScienceFormat::qcm_a ? "QCM-A" : "QCM-LEA"},
                 {"shots", split_.shots.size()},
                 {"samples_with_fewer_shots", fewer_shots_},
                 {"samples_cut", cut_}};
  if (images_.empty()) return layout;
  layout["samples_with_image"] =
      std::ranges::count_if(images_, [](const auto& image) { return !image.empty(); });
  layout["images_left_out"] = left_out_;
  return layout;
}

TaskScores ScienceTask::score(const ScoredModel& scored) const {
  const GreedyLimits limits{.max_new_tokens = longest_answer(format_), .tokens_per_pass = tokens_per_pass_};
  TaskScores scores;
  add_samples(scores, continue_lines(scored, prompts_, limits, images_));
  return scores;
}

void ScienceTask::add_samples(TaskScores& scores, const std::vector<std::string>& texts) const {
  std::vector<double> correct;
  std::vector<std::string> subjects, grades;
  int64_t unreadable = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const ScienceQuestion& question = split_.questions[i];
    const auto answer = read_science_answer(texts[i], question.choices.size());
    unreadable += answer ? 0 : 1;
    correct.push_back(answer == question.answer ? 1 : 0);
    subjects.push_back(question.subject);
    grades.emplace_back(question.grade <= 6 ? "G1-6" : "G7-12");
    scores.samples.push_back({{"sample", question.id},
                              {"answer", question.answer},
                              {"prediction", answer ? Json(*answer) : Json()},
                              {"correct", answer == question.answer},
                              {"text", texts[i]}});
  }
  add_share(scores, "accuracy", correct);
  scores.metrics.update({{"unreadable", unreadable},
                         {"by_subject", means_by_name(subjects, correct)},
                         {"by_modality", by_modality(split_.questions, correct)},
                         {"by_grade", means_by_name(grades, correct)}});
}

}  // namespace excitor
