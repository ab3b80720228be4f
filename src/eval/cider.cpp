// CIDEr-D (arXiv 1411.5726, section 5), as coco-caption computes it.
#include <cmath>

#include <excitor/eval/caption_metrics.h>

#include "caption_words.h"

namespace excitor {
namespace {

constexpr double kSigma = 6;
constexpr double kScale = 10;

/// A caption's n-grams of one order, weighted by how rare they are.
struct Vector {
  struct Weight {
    uint32_t ngram;
    double value;
  };
  std::vector<Weight> weights;  // ascending by n-gram
  double norm = 0;
};

struct WeightedCaption {
  std::array<Vector, kNgramOrders> orders;
  double bigrams = 0;  // what stands for the length
};

class CiderScorer {
 public:
  explicit CiderScorer(const CountedCaptions& counted)
      : images_(counted.images), log_images_(std::log(static_cast<double>(images_.size()))) {
    count_documents(counted);
  }

  std::vector<double> scores() const {
    std::vector<double> scores;
    for (const CountedImage& image : images_) {
      const WeightedCaption caption = weigh(image.caption.orders);
      double sum = 0;
      for (const CountedCaption& reference : image.references)
        sum += similarity(caption, weigh(reference.orders));
      scores.push_back(kScale * sum / static_cast<double>(image.references.size()));
    }
    return scores;
  }

 private:
  /// In how many images' references each n-gram stands; from there, its weight.
  void count_documents(const CountedCaptions& counted) {
    for (int n = 0; n < kNgramOrders; ++n) {
      std::vector<double>& rarity = rarity_[static_cast<size_t>(n)];
      std::vector<size_t> last(counted.ngrams[static_cast<size_t>(n)],
                               images_.size());  // the image that was counted last
      rarity.assign(last.size(), 0);
      for (size_t i = 0; i < images_.size(); ++i) {
        for (const CountedCaption& reference : images_[i].references) {
          for (const auto& [ngram, count] : reference.orders[static_cast<size_t>(n)]) {
            if (last[ngram] != i) rarity[ngram] += 1;
            last[ngram] = i;
          }
        }
      }
      for (double& value : rarity) value = log_images_ - std::log(std::max(1.0, value));
    }
  }

  WeightedCaption weigh(const OrderCounts& counts) const {
    WeightedCaption caption;
    for (size_t n = 0; n < counts.size(); ++n) {
      Vector& vector = caption.orders[n];
      double squares = 0;
      for (const auto& [ngram, count] : counts[n]) {
        const double value = static_cast<double>(count) * rarity_[n][ngram];
        vector.weights.push_back({.ngram = ngram, .value = value});
        squares += value * value;
        if (n == 1) caption.bigrams += static_cast<double>(count);
      }
      vector.norm = std::sqrt(squares);
    }
    return caption;
  }

  /// Clipped cosine of each order, damped by the difference in length; the mean of the orders.
  static double similarity(const WeightedCaption& caption, const WeightedCaption& reference) {
    const double delta = caption.bigrams - reference.bigrams;
    double sum = 0;
    for (size_t n = 0; n < caption.orders.size(); ++n)
      sum += clipped_cosine(caption.orders[n], reference.orders[n]);
    return sum / kNgramOrders * std::exp(-delta * delta / (2 * kSigma * kSigma));
  }

  static double clipped_cosine(const Vector& caption, const Vector& reference) {
    if (caption.norm == 0 || reference.norm == 0) return 0;
    double product = 0;
    auto other = reference.weights.begin();
    for (const auto& [ngram, value] : caption.weights) {
      while (other != reference.weights.end() && other->ngram < ngram) ++other;
      if (other == reference.weights.end()) break;
      if (other->ngram == ngram) product += std::min(value, other->value) * other->value;
    }
    return product / (caption.norm * reference.norm);
  }

  const std::vector<CountedImage>& images_;
  double log_images_;
  std::array<std::vector<double>, kNgramOrders> rarity_;  // [order][n-gram]: ln N − ln df
};

}  // namespace

std::vector<double> cider_d(const CountedCaptions& counted) {
  return counted.images.empty() ? std::vector<double>() : CiderScorer(counted).scores();
}

std::vector<double> cider_d(const std::vector<CaptionedImage>& images) {
  return cider_d(count_captions(images));
}

}  // namespace excitor
