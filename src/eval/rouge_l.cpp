// ROUGE-L (Lin 2004): the longest common subsequence of words.
#include <algorithm>

#include <excitor/eval/caption_metrics.h>

#include "caption_words.h"

namespace excitor {
namespace {

constexpr double kBeta = 1.2;

double longest_common_subsequence(const std::vector<WordId>& a, const std::vector<WordId>& b) {
  std::vector<int64_t> row(b.size() + 1, 0);
  for (const WordId word : a) {
    int64_t diagonal = 0;
    for (size_t j = 0; j < b.size(); ++j) {
      const int64_t above = row[j + 1];
      row[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return static_cast<double>(row.back());
}

double score_image(const CaptionedImage& image, WordNumbers& words) {
  const std::vector<WordId> caption = words.split_at_spaces(image.caption);
  double precision = 0, recall = 0;
  for (const std::string& text : image.references) {
    const std::vector<WordId> reference = words.split_at_spaces(text);
    const double common = longest_common_subsequence(reference, caption);
    precision = std::max(precision, common / static_cast<double>(caption.size()));
    recall = std::max(recall, common / static_cast<double>(reference.size()));
  }
  if (precision == 0 || recall == 0) return 0;
  return (1 + kBeta * kBeta) * precision * recall / (recall + kBeta * kBeta * precision);
}

}  // namespace

std::vector<double> rouge_l(const std::vector<CaptionedImage>& images) {
  WordNumbers words;
  std::vector<double> scores;
  for (const CaptionedImage& image : images) scores.push_back(score_image(image, words));
  return scores;
}

}  // namespace excitor
