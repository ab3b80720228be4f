#include <excitor/model/kv_cache.h>

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

namespace excitor {
namespace {

/// Room for `needed` rows like those of `x`, the first `used` ones copied from `old`.
void grow(at::Tensor& old, const at::Tensor& x, int64_t used, int64_t needed) {
  constexpr int64_t kFirstCapacity = 128;
  const int64_t capacity = old.defined() ? old.size(0) : 0;
  if (needed <= capacity) return;
  at::Tensor bigger =
      at::empty({std::max({needed, 2 * capacity, kFirstCapacity}), x.size(1), x.size(2)}, x.options());
  if (used > 0) bigger.narrow(0, 0, used).copy_(old.narrow(0, 0, used));
  old = bigger;
}

}  // namespace

KvCache::KvCache(int64_t num_hidden_layers, int64_t sequences)
    : slots_(num_hidden_layers, std::vector<Slot>(sequences)), lengths_(sequences, 0) {}

std::pair<at::Tensor, at::Tensor> KvCache::append(int64_t layer, int64_t sequence, const at::Tensor& k,
                                                  const at::Tensor& v) {
  Slot& slot = slots_[layer][sequence];
  const int64_t used = lengths_[sequence], total = used + k.size(0);
  if (transient_ && used == 0) return {k, v};
  if (transient_) return {at::cat({slot.keys, k}, 0), at::cat({slot.values, v}, 0)};
  grow(slot.keys, k, used, total);
  grow(slot.values, v, used, total);
  slot.keys.narrow(0, used, k.size(0)).copy_(k);
  slot.values.narrow(0, used, v.size(0)).copy_(v);
  return {slot.keys.narrow(0, 0, total), slot.values.narrow(0, 0, total)};
}

KvCache KvCache::branch(const std::vector<int64_t>& parents, bool transient) const {
  KvCache branch(static_cast<int64_t>(slots_.size()), static_cast<int64_t>(parents.size()));
  branch.transient_ = transient;
  for (size_t i = 0; i < parents.size(); ++i) {
    const int64_t length = branch.lengths_[i] = lengths_[parents[i]];
    for (size_t layer = 0; length > 0 && layer < slots_.size(); ++layer) {
      const Slot& parent = slots_[layer][parents[i]];
      branch.slots_[layer][i] = {parent.keys.narrow(0, 0, length), parent.values.narrow(0, 0, length)};
    }
  }
  return branch;
}

}  // namespace excitor
