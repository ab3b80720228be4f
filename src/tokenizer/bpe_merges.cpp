#include "bpe_merges.h"

#include <queue>
#include <tuple>

namespace excitor {
namespace {

/// A token of the word and its neighbours: a linked list, so that a merge moves nothing.
struct Symbol {
  TokenId id = 0;
  int32_t previous = -1;
  int32_t next = -1;
  bool merged_away = false;
};

struct Candidate {
  uint32_t rank = 0;
  int32_t left = 0;  ///< index of the left symbol
  TokenId merged = 0;

  /// For a queue whose top is the lowest rank, then the leftmost.
  bool operator<(const Candidate& other) const {
    return std::tie(rank, left) > std::tie(other.rank, other.left);
  }
};

class Word {
 public:
  Word(const BpeMerges& merges, const std::vector<TokenId>& ids) : merges_(merges), symbols_(ids.size()) {
    const auto size = static_cast<int32_t>(ids.size());
    for (int32_t i = 0; i < size; ++i) {
      at(i) = {.id = ids[static_cast<size_t>(i)], .previous = i - 1, .next = i + 1 < size ? i + 1 : -1};
    }
    for (int32_t i = 0; i + 1 < size; ++i) consider(i);
  }

  void merge_all() {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      if (still_holds(top)) merge(top);
    }
  }

  std::vector<TokenId> ids() const {
    std::vector<TokenId> ids;
    for (const Symbol& symbol : symbols_) {
      if (!symbol.merged_away) ids.push_back(symbol.id);
    }
    return ids;
  }

 private:
  Symbol& at(int32_t i) { return symbols_[static_cast<size_t>(i)]; }

  /// Queues the merge of a symbol with the next one, if there is one.
  void consider(int32_t left) {
    if (left < 0 || at(left).next < 0) return;
    if (const auto* merge = merges_.find(at(left).id, at(at(left).next).id))
      queue_.push({.rank = merge->rank, .left = left, .merged = merge->id});
  }

  /// A merge in between may have changed either symbol.
  bool still_holds(const Candidate& candidate) {
    const Symbol& left = at(candidate.left);
    if (left.merged_away || left.next < 0) return false;
    const auto* merge = merges_.find(left.id, at(left.next).id);
    return merge && merge->id == candidate.merged;
  }

  void merge(const Candidate& candidate) {
    Symbol& left = at(candidate.left);
    Symbol& right = at(left.next);
    left.id = candidate.merged;
    left.next = right.next;
    right.merged_away = true;
    if (left.next >= 0) at(left.next).previous = candidate.left;
    consider(left.previous);
    consider(candidate.left);
  }

  const BpeMerges& merges_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace

void BpeMerges::apply(std::vector<TokenId>& word) const {
  if (word.size() < 2) return;
  Word symbols(*this, word);
  symbols.merge_all();
  word = symbols.ids();
}

}  // namespace excitor
