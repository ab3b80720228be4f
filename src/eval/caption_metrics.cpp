// All metrics of a set of captions, with bootstrap intervals (Efron 1979).
#include <excitor/eval/caption_metrics.h>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <excitor/util/random.h>

#include "caption_words.h"

namespace excitor {
namespace {

constexpr int kResamplings = 1000;

/// What the metrics of a resampling are made of, for each image.
struct ImageScores {
  std::vector<double> cider;
  std::vector<BleuCounts> bleu;
  std::vector<double> rouge;
};

using Values = std::array<double, kNgramOrders + 2>;  // cider, bleu_1 … bleu_4, rouge_l

/// The metrics over some images, which may repeat.
Values metrics_of(const ImageScores& scores, const std::vector<uint32_t>& images) {
  double cider = 0, rouge = 0;
  BleuCounts counts;
  for (const uint32_t i : images) {
    cider += scores.cider[i];
    rouge += scores.rouge[i];
    counts += scores.bleu[i];
  }
  const auto n = static_cast<double>(images.size());
  const auto bleus = bleu(counts);
  return {cider / n, bleus[0], bleus[1], bleus[2], bleus[3], rouge / n};
}

/// The value below which a share of the sorted values lies, between neighbours in proportion.
double percentile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

std::vector<Values> resample(const ImageScores& scores) {
  Random random(0, stream_of("eval.bootstrap"));
  std::vector<Values> all;
  std::vector<uint32_t> images(scores.cider.size());
  for (int r = 0; r < kResamplings; ++r) {
    for (uint32_t& image : images) image = static_cast<uint32_t>(random.below(images.size()));
    all.push_back(metrics_of(scores, images));
  }
  return all;
}

}  // namespace

std::vector<CaptionMetric> measure_captions(const std::vector<CaptionedImage>& images) {
  const CountedCaptions counted = count_captions(images);
  const ImageScores scores{.cider = cider_d(counted), .bleu = count_bleu(counted), .rouge = rouge_l(images)};
  std::vector<uint32_t> each(images.size());
  std::iota(each.begin(), each.end(), 0U);
  const Values values = metrics_of(scores, each);
  const std::vector<Values> resampled = resample(scores);
  std::vector<CaptionMetric> metrics;
  for (size_t m = 0; m < values.size(); ++m) {
    const bool is_bleu = m >= 1 && m <= kNgramOrders;
    std::vector<double> sorted;
    for (const Values& sample : resampled) sorted.push_back(sample[m]);
    std::ranges::sort(sorted);
    metrics.push_back({.name = is_bleu  ? fmt::format("bleu_{}", m)
                               : m == 0 ? "cider"
                                        : "rouge_l",
                       .value = values[m],
                       .low = percentile(sorted, 0.025),
                       .high = percentile(sorted, 0.975)});
  }
  return metrics;
}

}  // namespace excitor
