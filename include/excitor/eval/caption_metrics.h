// Caption metrics that equal coco-caption's (pycocoevalcap): CIDEr-D, BLEU-1 to 4, ROUGE-L.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

namespace excitor {

/// An image's captions as tokenize_captions() leaves them: words with single spaces between them.
struct CaptionedImage {
  std::string id;
  std::string caption;                  ///< the one that is scored
  std::vector<std::string> references;  ///< at least one
};

/// Orders of n-grams in BLEU and CIDEr.
inline constexpr int kNgramOrders = 4;

/// CIDEr-D (arXiv 1411.5726) of each image: n-grams of 1 to 4 words, document frequencies over the images
/// given, σ 6, times 10. One image alone scores 0.
std::vector<double> cider_d(const std::vector<CaptionedImage>& images);

/// What BLEU counts in one caption.
struct BleuCounts {
  std::array<int64_t, kNgramOrders> correct{};  ///< n-grams found in a reference, clipped by its count
  std::array<int64_t, kNgramOrders> guessed{};
  int64_t caption_words = 0;
  int64_t reference_words = 0;  ///< of the reference nearest in length, the shorter of two
  BleuCounts& operator+=(const BleuCounts& other);
};
std::vector<BleuCounts> count_bleu(const std::vector<CaptionedImage>& images);
/// BLEU-1 to 4 of one caption, or of the sum over a corpus.
std::array<double, kNgramOrders> bleu(const BleuCounts& counts);

/// ROUGE-L of each image, β 1.2, best precision and best recall over the references.
std::vector<double> rouge_l(const std::vector<CaptionedImage>& images);

/// A metric of all images with its 95 % interval: the 2.5 and 97.5 percentile of 1,000 resamplings of the
/// images (the same ones on every machine).
struct CaptionMetric {
  std::string name;  ///< "cider", "bleu_1" … "bleu_4", "rouge_l"
  double value = 0;
  double low = 0;
  double high = 0;
};
std::vector<CaptionMetric> measure_captions(const std::vector<CaptionedImage>& images);

/// The captions of an image before they are tokenised.
struct RawCaptions {
  std::string id;
  std::string caption;
  std::vector<std::string> references;
};
/// Tokenises all captions as coco-caption does.
std::vector<CaptionedImage> tokenize_captions(const std::vector<RawCaptions>& images);

}  // namespace excitor
