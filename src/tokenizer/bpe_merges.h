// The merges of a BPE vocabulary, and their application to one word.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include <excitor/tokenizer/template_piece.h>

namespace excitor {

/// Which two tokens side by side become which one, and in what order: lower ranks first, of equal ranks the
/// leftmost.
class BpeMerges {
 public:
  struct Merge {
    uint32_t rank = 0;
    TokenId id = 0;  ///< of the merged token
  };

  void reserve(size_t merges) { table_.reserve(merges); }
  /// False when the pair has a merge already.
  bool add(TokenId left, TokenId right, Merge merge) {
    return table_.emplace(key(left, right), merge).second;
  }
  /// nullptr: the two stay apart.
  const Merge* find(TokenId left, TokenId right) const {
    const auto found = table_.find(key(left, right));
    return found == table_.end() ? nullptr : &found->second;
  }

  /// Merges the tokens of a word until no merge is left. O(n log n).
  void apply(std::vector<TokenId>& word) const;

 private:
  struct Hash {
    size_t operator()(uint64_t key) const {  // the finaliser of MurmurHash3
      key = (key ^ (key >> 33)) * 0xFF51AFD7ED558CCDull;
      key = (key ^ (key >> 33)) * 0xC4CEB9FE1A85EC53ull;
      return key ^ (key >> 33);
    }
  };
  static uint64_t key(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  std::unordered_map<uint64_t, Merge, Hash> table_;
};

}  // namespace excitor
