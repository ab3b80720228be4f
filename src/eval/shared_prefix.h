// What several contexts have in common at their beginning, computed once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <excitor/eval/scoring.h>

namespace excitor {

/// Keys and values of the longest common beginning. Each context keeps a token of its own, since its last
/// token predicts what follows.
class SharedPrefix {
 public:
  using Contexts = std::vector<std::reference_wrapper<const std::vector<TokenId>>>;

  /// Computes the prefix where that saves anything. With `reuse` false it is empty.
  SharedPrefix(const ScoredModel& scored, const Contexts& contexts, bool reuse);

  /// Tokens of the prefix; 0: nothing is shared.
  int64_t tokens() const { return tokens_; }
  /// A cache of sequences that begin with it. `transient`: see KvCache::branch.
  KvCache branch(int64_t sequences, bool transient) const;

 private:
  int64_t tokens_ = 0;
  KvCache cache_;
};

/// Indices 0..n-1 by `length`, longest first (equal ones in their order), laid out so that a batch's lengths
/// sum up to at most `max_tokens` and it holds at most `max_count`; a longer one stands alone.
std::vector<std::vector<size_t>> batches_by_length(const std::vector<int64_t>& lengths, int64_t max_tokens,
                                                   int64_t max_count);

}  // namespace excitor
