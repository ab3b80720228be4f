// BLEU (Papineni et al. 2002) with coco-caption's smoothing.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <tuple>

#include <excitor/eval/caption_metrics.h>

#include "caption_words.h"

namespace excitor {
namespace {

/// The largest count of each n-gram over the references. Both ascend by n-gram.
void raise_to(NgramNumbers::Counts& most, const NgramNumbers::Counts& counts) {
  NgramNumbers::Counts merged;
  auto a = most.begin();
  for (const auto& entry : counts) {
    while (a != most.end() && a->ngram < entry.ngram) merged.push_back(*a++);
    const bool both = a != most.end() && a->ngram == entry.ngram;
    merged.push_back({.ngram = entry.ngram, .count = both ? std::max(entry.count, a++->count) : entry.count});
  }
  merged.insert(merged.end(), a, most.end());
  most = std::move(merged);
}

int64_t clipped_matches(const NgramNumbers::Counts& caption, const NgramNumbers::Counts& most) {
  int64_t matches = 0;
  auto other = most.begin();
  for (const auto& [ngram, count] : caption) {
    while (other != most.end() && other->ngram < ngram) ++other;
    if (other == most.end()) break;
    if (other->ngram == ngram) matches += std::min(count, other->count);
  }
  return matches;
}

BleuCounts count_image(const CountedImage& image) {
  OrderCounts most;
  for (const CountedCaption& reference : image.references) {
    for (size_t n = 0; n < most.size(); ++n) raise_to(most[n], reference.orders[n]);
  }
  BleuCounts result{.caption_words = image.caption.words};
  result.reference_words =
      std::ranges::min_element(image.references, {}, [&](const CountedCaption& reference) {
        return std::pair(std::abs(reference.words - result.caption_words), reference.words);
      })->words;
  for (size_t n = 0; n < most.size(); ++n) {
    result.guessed[n] = std::max<int64_t>(0, result.caption_words - static_cast<int64_t>(n));
    result.correct[n] = clipped_matches(image.caption.orders[n], most[n]);
  }
  return result;
}

}  // namespace

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (size_t n = 0; n < correct.size(); ++n) {
    correct[n] += other.correct[n];
    guessed[n] += other.guessed[n];
  }
  caption_words += other.caption_words;
  reference_words += other.reference_words;
  return *this;
}

std::vector<BleuCounts> count_bleu(const CountedCaptions& counted) {
  std::vector<BleuCounts> counts;
  for (const CountedImage& image : counted.images) counts.push_back(count_image(image));
  return counts;
}

std::vector<BleuCounts> count_bleu(const std::vector<CaptionedImage>& images) {
  return count_bleu(count_captions(images));
}

std::array<double, kNgramOrders> bleu(const BleuCounts& counts) {
  constexpr double kTiny = 1e-15, kSmall = 1e-9;
  const double ratio = (static_cast<double>(counts.caption_words) + kTiny) /
                       (static_cast<double>(counts.reference_words) + kSmall);
  const double brevity = ratio < 1 ? std::exp(1 - 1 / ratio) : 1;
  std::array<double, kNgramOrders> scores{};
  double product = 1;
  for (size_t n = 0; n < scores.size(); ++n) {
    product *=
        (static_cast<double>(counts.correct[n]) + kTiny) / (static_cast<double>(counts.guessed[n]) + kSmall);
    scores[n] = std::pow(product, 1.0 / static_cast<double>(n + 1)) * brevity;
  }
  return scores;
}

}  // namespace excitor
