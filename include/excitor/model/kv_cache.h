// Keys and values of earlier tokens, a sequence and layer each.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/model/step.h>

namespace excitor {

/// Grows by doubling. Keys are stored as attention reads them: rotated, and changed by the bypass. Not for
/// training.
class KvCache {
 public:
  KvCache(int64_t num_hidden_layers, int64_t sequences);

  int64_t sequences() const { return static_cast<int64_t>(lengths_.size()); }
  /// Tokens of a sequence that are complete (every layer has them).
  int64_t length(int64_t sequence) const { return lengths_[sequence]; }

  /// Appends k and v [T,G,d] of new tokens in one layer and returns all keys and values so far [S,G,d]
  /// (views).
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, int64_t sequence, const at::Tensor& k,
                                           const at::Tensor& v);
  /// What the bypass computed in the first pass of this generation.
  std::shared_ptr<const PassState> pass_state;

  /// A cache of parents.size() sequences, of which number i begins with all of sequence parents[i] (shared,
  /// not copied, until it grows; pass_state is not taken along). With `transient`, what is appended is handed
  /// to attention and forgotten: for one pass that nothing continues.
  KvCache branch(const std::vector<int64_t>& parents, bool transient) const;

  /// Counts the new tokens once all layers have appended them.
  void advance(int64_t sequence, int64_t tokens) { lengths_[sequence] += tokens; }

 private:
  struct Slot {
    at::Tensor keys;    // [capacity,G,d]
    at::Tensor values;  // [capacity,G,d]
  };
  std::vector<std::vector<Slot>> slots_;  // [layer][sequence]
  std::vector<int64_t> lengths_;          // [sequence]
  bool transient_ = false;
};

}  // namespace excitor
