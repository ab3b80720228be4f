#include "caption_words.h"

#include <algorithm>

namespace excitor {
namespace {

/// Bytes of the blank at `i`, or 0. Beside ASCII's these are the ones that occur in tokens.
size_t blank_at(std::string_view text, size_t i) {
  const auto byte = static_cast<unsigned char>(text[i]);
  if (byte < 0x80)
    return byte == ' ' || (byte >= 0x09 && byte <= 0x0D) || (byte >= 0x1C && byte <= 0x1F) ? 1 : 0;
  const std::string_view rest = text.substr(i);
  if (rest.starts_with("\u00A0") || rest.starts_with("\u0085")) return 2;
  if (rest.starts_with("\u1680") || rest.starts_with("\u2028") || rest.starts_with("\u2029") ||
      rest.starts_with("\u202F") || rest.starts_with("\u205F") || rest.starts_with("\u3000"))
    return 3;
  const bool is_space_of_width =
      rest.starts_with("\xE2\x80") && rest.size() > 2 && static_cast<unsigned char>(rest[2]) <= 0x8A;
  return is_space_of_width ? 3 : 0;
}

}  // namespace

WordId WordNumbers::number(std::string_view word) {
  const auto found = numbers_.find(word);
  if (found != numbers_.end()) return found->second;
  return numbers_.emplace(std::string(word), static_cast<WordId>(numbers_.size())).first->second;
}

std::vector<WordId> WordNumbers::split_at_blanks(std::string_view text) {
  std::vector<WordId> words;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t blank = blank_at(text, i);
    if (blank > 0 && i > begin) words.push_back(number(text.substr(begin, i - begin)));
    i += std::max<size_t>(blank, 1);
    if (blank > 0) begin = i;
  }
  if (begin < text.size()) words.push_back(number(text.substr(begin)));
  return words;
}

std::vector<WordId> WordNumbers::split_at_spaces(std::string_view text) {
  std::vector<WordId> words;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    words.push_back(number(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return words;
}

size_t NgramNumbers::Hash::operator()(const Key& key) const {
  uint64_t hash = 0;
  for (const WordId word : key) hash = (hash ^ word) * 0x9E3779B97F4A7C15U + (hash >> 29);
  return static_cast<size_t>(hash ^ hash >> 32);
}

std::array<NgramNumbers::Counts, kNgramOrders> NgramNumbers::count(const std::vector<WordId>& words) {
  std::array<Counts, kNgramOrders> counts;
  for (size_t n = 0; n < counts.size(); ++n) {
    std::vector<uint32_t> found;
    for (size_t begin = 0; begin + n < words.size(); ++begin) {
      Key key{};
      std::copy_n(words.begin() + static_cast<int64_t>(begin), n + 1, key.begin());
      found.push_back(numbers_[n].try_emplace(key, static_cast<uint32_t>(numbers_[n].size())).first->second);
    }
    std::ranges::sort(found);
    for (const uint32_t ngram : found) {
      if (counts[n].empty() || counts[n].back().ngram != ngram)
        counts[n].push_back({.ngram = ngram, .count = 1});
      else
        ++counts[n].back().count;
    }
  }
  return counts;
}

CountedCaptions count_captions(const std::vector<CaptionedImage>& images) {
  WordNumbers words;
  NgramNumbers ngrams;
  const auto count = [&](const std::string& text) {
    const std::vector<WordId> split = words.split_at_blanks(text);
    return CountedCaption{.orders = ngrams.count(split), .words = std::ssize(split)};
  };
  CountedCaptions counted;
  for (const CaptionedImage& image : images) {
    CountedImage& out = counted.images.emplace_back();
    out.caption = count(image.caption);
    for (const std::string& reference : image.references) out.references.push_back(count(reference));
  }
  for (int n = 0; n < kNgramOrders; ++n) counted.ngrams[static_cast<size_t>(n)] = ngrams.size(n);
  return counted;
}

}  // namespace excitor
