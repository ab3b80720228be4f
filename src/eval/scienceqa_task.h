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
  struct Rules {
    ScienceFormat format = ScienceFormat::qcm_a;
    int64_t tokens_per_pass = 1024;
  };
  ScienceTask(std::string name, ScienceSplit split, const Rules& rules)
      : ScoredTask(std::move(name), "scienceqa"),
        split_(std::move(split)),
        format_(rules.format),
        tokens_per_pass_(rules.tokens_per_pass) {}

  /// Shows a bypass that sees the images: one path a question, empty where it has none. `left_out` could not
  /// be used.
  void show_images(std::vector<std::filesystem::path> images, std::vector<std::string> left_out) {
    images_ = std::move(images);
    left_out_ = std::move(left_out);
  }

  void prepare(const Tokenizer& tokenizer, int64_t context_length) override;
  int64_t samples() const override { return std::ssize(split_.questions); }
  std::vector<std::filesystem::path> images() const override { return images_; }
  Json layout() const override;
  TaskScores score(const ScoredModel& scored) const override;

 private:
  void add_samples(TaskScores& scores, const std::vector<std::string>& texts) const;

  ScienceSplit split_;
  ScienceFormat format_;
  int64_t tokens_per_pass_;
  std::vector<std::filesystem::path> images_;  // none, or one a question
  std::vector<std::string> left_out_;
  std::vector<std::vector<TokenId>> prompts_;  // once prepared
  int64_t fewer_shots_ = 0;
  int64_t cut_ = 0;
};

}  // namespace excitor
