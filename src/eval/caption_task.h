// Captions: the model describes images, and the metrics of coco-caption judge it.
#pragma once

#include <string>
#include <vector>

#include <excitor/eval/caption_images.h>
#include <excitor/eval/task.h>

namespace excitor {

/// cider, bleu_1 … bleu_4, rouge_l of the greedy captions, with bootstrap intervals. Each caption is one
/// line. With the bypass off the same prompt is answered without the image.
class CaptionTask final : public ScoredTask {
 public:
  struct Question {
    std::string instruction;
    Json prompt_template;  ///< as PromptTemplate takes it
    int64_t tokens_per_pass = 1024;
  };
  /// `left_out`: names of images that could not be used.
  CaptionTask(std::string name, std::vector<ImageToCaption> images, std::vector<std::string> left_out,
              Question question)
      : ScoredTask(std::move(name), "captions"),
        images_(std::move(images)),
        left_out_(std::move(left_out)),
        question_(std::move(question)) {}

  void prepare(const Tokenizer& tokenizer, int64_t context_length) override;
  int64_t samples() const override { return std::ssize(images_); }
  std::vector<std::filesystem::path> images() const override;
  Json layout() const override;
  TaskScores score(const ScoredModel& scored) const override;

 private:
  std::vector<ImageToCaption> images_;
  std::vector<std::string> left_out_;
  Question question_;
  std::vector<TokenId> prompt_;  // once prepared
};

}  // namespace excitor
