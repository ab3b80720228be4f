#include "caption_task.h"

#include <excitor/eval/caption_metrics.h>
#include <excitor/eval/captioning.h>

namespace excitor {
namespace {

/// Captions of COCO have about ten words; the longest that a caption may become.
constexpr int64_t kLongestCaption = 64;

CaptionPrompt prompt_of(const CaptionTask::Question& question) {
  return {.prompt_template = PromptTemplate(question.prompt_template), .instruction = question.instruction};
}

/// The metrics that are means over the images, by image.
void add_outcomes(TaskScores& scores, const std::vector<CaptionedImage>& captioned) {
  scores.outcomes = {{"cider", cider_d(captioned)}, {"rouge_l", rouge_l(captioned)}};
  for (size_t i = 0; i < captioned.size(); ++i)
    scores.samples[i]["cider"] = scores.outcomes.front().second[i];
}

}  // namespace

void CaptionTask::prepare(const Tokenizer& tokenizer, int64_t context_length) {
  const CaptionPrompt prompt = prompt_of(question_);
  prompt.prompt_template.check(tokenizer);
  prompt_ = prompt.ids(tokenizer, "", context_length);
}

std::vector<std::filesystem::path> CaptionTask::images() const {
  std::vector<std::filesystem::path> files;
  for (const ImageToCaption& image : images_) files.push_back(image.file);
  return files;
}

Json CaptionTask::layout() const {
  return {{"instruction", question_.instruction},
          {"prompt_template", question_.prompt_template},
          {"images_left_out", left_out_}};
}

TaskScores CaptionTask::score(const ScoredModel& scored) const {
  const std::vector<std::vector<TokenId>> prompts(images_.size(), prompt_);
  const std::vector<std::string> captions =
      write_captions(scored, PromptTemplate(question_.prompt_template), prompts, images(),
                     {.max_new_tokens = kLongestCaption, .tokens_per_pass = question_.tokens_per_pass});
  TaskScores scores;
  std::vector<RawCaptions> raw;
  for (size_t i = 0; i < images_.size(); ++i) {
    const ImageToCaption& image = images_[i];
    raw.push_back({.id = image.id.dump(), .caption = captions[i], .references = image.references});
    scores.samples.push_back(
        {{"sample", image.id}, {"answer", image.references}, {"prediction", captions[i]}});
  }
  const std::vector<CaptionedImage> captioned = tokenize_captions(raw);
  for (const CaptionMetric& metric : measure_captions(captioned)) {
    scores.metrics[metric.name] = metric.value;
    scores.intervals[metric.name] = {metric.low, metric.high};
  }
  add_outcomes(scores, captioned);
  return scores;
}

}  // namespace excitor
