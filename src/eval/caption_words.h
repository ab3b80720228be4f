// Captions as words and n-grams, numbered, so that counting compares integers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <excitor/eval/caption_metrics.h>

namespace excitor {

using WordId = uint32_t;

/// Numbers words in the order they appear.
class WordNumbers {
 public:
  /// Splits at blanks of every kind (Python's split()): a no-break space inside a token separates too.
  std::vector<WordId> split_at_blanks(std::string_view text);
  /// Splits at each single space (Python's split(" ")): an empty text is one empty word.
  std::vector<WordId> split_at_spaces(std::string_view text);

 private:
  WordId number(std::string_view word);

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  std::unordered_map<std::string, WordId, Hash, std::equal_to<>> numbers_;
};

/// Numbers n-grams of 1 to 4 words; each order has its own.
class NgramNumbers {
 public:
  struct Count {
    uint32_t ngram;
    int64_t count;
  };
  /// The n-grams of one order in a text, ascending by number.
  using Counts = std::vector<Count>;
  std::array<Counts, kNgramOrders> count(const std::vector<WordId>& words);
  size_t size(int order) const { return numbers_[static_cast<size_t>(order)].size(); }

 private:
  using Key = std::array<WordId, kNgramOrders>;  // unused places are 0
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  std::array<std::unordered_map<Key, uint32_t, Hash>, kNgramOrders> numbers_;
};

using OrderCounts = std::array<NgramNumbers::Counts, kNgramOrders>;

struct CountedCaption {
  OrderCounts orders;
  int64_t words = 0;
};

struct CountedImage {
  CountedCaption caption;
  std::vector<CountedCaption> references;
};

/// The captions of all images as n-grams.
struct CountedCaptions {
  std::vector<CountedImage> images;
  std::array<size_t, kNgramOrders> ngrams{};  ///< different ones of each order
};
CountedCaptions count_captions(const std::vector<CaptionedImage>& images);

std::vector<double> cider_d(const CountedCaptions& counted);
std::vector<BleuCounts> count_bleu(const CountedCaptions& counted);

}  // namespace excitor
