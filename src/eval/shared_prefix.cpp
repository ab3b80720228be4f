#include "shared_prefix.h"

#include <algorithm>
#include <numeric>

#include <ATen/core/grad_mode.h>

#include "token_scores.h"

namespace excitor {
namespace {

constexpr int64_t kWorthwhile = 8;  // tokens; a shorter beginning costs less than a pass of its own

int64_t common_tokens(const SharedPrefix::Contexts& contexts) {
  const std::vector<TokenId>& first = contexts.front();
  auto common = static_cast<int64_t>(first.size());
  for (const std::vector<TokenId>& other : contexts) {
    common = std::min(common, static_cast<int64_t>(other.size()));
    common = std::mismatch(first.begin(), first.begin() + common, other.begin()).first - first.begin();
    common = std::min(common, static_cast<int64_t>(other.size()) - 1);
  }
  return common;
}

}  // namespace

SharedPrefix::SharedPrefix(const ScoredModel& scored, const Contexts& contexts, bool reuse)
    : cache_(scored.model.config().num_hidden_layers, 1) {
  if (!reuse || contexts.size() < 2) return;
  const int64_t common = common_tokens(contexts);
  if (common < kWorthwhile) return;
  const at::NoGradGuard no_grad;
  const std::vector<TokenId>& first = contexts.front();
  const at::Tensor ids = token_tensor({first.begin(), first.begin() + common}, scored.model.device());
  const at::Tensor last = token_tensor({common - 1}, scored.model.device());
  scored.model.hidden({.ids = ids, .segments = Segments({common})},
                      {.bypass = scored.bypass, .cache = &cache_, .rows = last});
  tokens_ = common;
}

KvCache SharedPrefix::branch(int64_t sequences, bool transient) const {
  return cache_.branch(std::vector<int64_t>(static_cast<size_t>(sequences), 0), transient);
}

std::vector<std::vector<size_t>> batches_by_length(const std::vector<int64_t>& lengths, int64_t max_tokens,
                                                   int64_t max_count) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](size_t i) { return lengths[i]; });
  std::vector<std::vector<size_t>> batches;
  int64_t room = 0;
  for (const size_t i : order) {
    const bool fits = !batches.empty() && lengths[i] <= room && std::ssize(batches.back()) < max_count;
    if (!fits) {
      batches.emplace_back();
      room = max_tokens;
    }
    batches.back().push_back(i);
    room -= lengths[i];
  }
  return batches;
}

}  // namespace excitor
