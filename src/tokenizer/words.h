// Encoding word by word: exact for models like LLaMA's, and some ten times faster, since most words come
// again.
#pragma once

#include <array>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

inline constexpr std::string_view kSpaceSymbol = "▁";  // U+2581

/// True when a text's ids are those of its words, one after the other. So it is when no piece holds a space
/// after another character: merges of BPE make pieces only, so none crosses from a word into the next, and
/// within a word their order does not depend on the rest. Needs a model whose normaliser only turns spaces
/// into ▁ and puts one ▁ in front of a text, which then stands for the space that was split at. `content` is
/// a model found undamaged.
bool encodes_word_by_word(std::string_view content);

/// True when the model puts one ▁ in front of every text (add_dummy_prefix).
bool adds_dummy_prefix(std::string_view content);

/// The model without that ▁.
std::string without_dummy_prefix(std::string_view content);

/// True for a piece with ▁ behind another character: "▁▁the" is none, "the▁" and "of▁the" are.
bool holds_inner_space(std::string_view piece);

/// A piece with ▁ as spaces.
std::string with_spaces(std::string_view piece);

/// Calls `visit` with each word. Texts are split at a space between another character and anything; that
/// space belongs to no word, further spaces to the word that follows.
void for_each_word(std::string_view text, const std::function<void(std::string_view)>& visit);

/// The ids of words met before; used by several threads at once.
class WordCache {
 public:
  /// Appends the ids of `word` to `ids`; false when it is not known.
  bool append_ids(std::string_view word, std::vector<TokenId>& ids);
  /// Remembers a word, unless it is long or the cache is full (about 100 MB).
  void remember(std::string_view word, const std::vector<TokenId>& ids);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<TokenId>, Hash, std::equal_to<>> ids;
  };
  Shard& shard_of(std::string_view word) { return shards_[Hash()(word) % shards_.size()]; }

  std::array<Shard, 32> shards_;  // so that threads seldom wait for each other
};

}  // namespace excitor
