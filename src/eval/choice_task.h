// Multiple choice: the continuation with the highest probability is the answer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <excitor/eval/task.h>

#include "choice_sample.h"

namespace excitor {

/// accuracy: the choice with the highest log-probability, the first of equal ones. accuracy_norm: the same of
/// log-probability / characters of the choice. by_subject: accuracy of each subject, where samples have one.
class ChoiceTask final : public ScoredTask {
 public:
  struct Rules {
    bool has_norm = false;  ///< accuracy_norm is wanted
    ScoringLimits scoring;
  };
  ChoiceTask(std::string name, std::string type, std::vector<ChoiceSample> samples, const Rules& rules)
      : ScoredTask(std::move(name), std::move(type)), samples_(std::move(samples)), rules_(rules) {}

  void prepare(const Tokenizer& tokenizer, int64_t context_length) override;
  int64_t samples() const override { return std::ssize(samples_); }
  Json layout() const override;
  TaskScores score(const ScoredModel& scored) const override;

 private:
  ChoiceQuestion tokenise_with_shots(const ChoiceSample& sample, const Tokenizer& tokenizer,
                                     int64_t positions);
  ChoiceQuestion tokenise(const ChoiceSample& sample, const Tokenizer& tokenizer, int64_t positions);
  void add_samples(TaskScores& scores, const std::vector<std::vector<double>>& logs) const;

  std::vector<ChoiceSample> samples_;
  Rules rules_;
  std::vector<ChoiceQuestion> questions_;  // once prepared; parallel to samples_
  int64_t fewer_shots_ = 0;                // samples that lost shots
  int64_t cut_ = 0;                        // samples that lost the beginning of their context
};

}  // namespace excitor
