// ScienceQA: the model writes its answer, which is read from its text.
#pragma once

#include <string>
#include <vector>

#include <excitor/eval/task.h>

#include "scienceqa.h"

namespace excitor {

/// accuracy, unreadable (answers that name no choice: wrong, never guessed), and accuracy by subject (NAT,
/// SOC, LAN), modality (TXT: with a hint, IMG: with an image, NO: with neither) and grade (G1-6, G7-12).
class ScienceTask final : public ScoredTask {
 public:
  ScienceTask(std::string name, ScienceSplit split, ScienceFormat format, int64_t tokens_per_pass)
      : ScoredTask(std::move(name), "scienceqa"),
        split_(std::move(split)),
        format_(format),
        tokens_per_pass_(tokens_per_pass) {}

  void prepare(const Tokenizer& tokenizer, int64_t context_length) override;
  int64_t samples() const override { return std::ssize(split_.questions); }
  Json layout() const override;
  TaskScores score(const ScoredModel& scored) const override;

 private:
  void add_samples(TaskScores& scores, const std::vector<std::string>& texts) const;

  ScienceSplit split_;
  ScienceFormat format_;
  int64_t tokens_per_pass_;
  std::vector<std::vector<TokenId>> prompts_;  // once prepared
  int64_t fewer_shots_ = 0;
  int64_t cut_ = 0;
};

}  // namespace excitor
