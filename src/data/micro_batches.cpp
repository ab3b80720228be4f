#include <algorithm>
#include <stdexcept>
#include <utility>

#include <excitor/data/sampler.h>

namespace excitor {
namespace {

using MicroBatches = std::vector<std::vector<int64_t>>;

/// Longest first; examples of one length keep their order.
std::vector<int64_t> sorted_by_length(std::span<const int64_t> examples, const Dataset& dataset) {
  std::vector<int64_t> sorted(examples.begin(), examples.end());
  std::ranges::stable_sort(sorted, std::ranges::greater{}, [&](int64_t i) { return dataset.tokens(i); });
  return sorted;
}

/// First fit, longest first: at most 11/9 of the fewest micro-batches possible, and one more (Johnson 1973).
MicroBatches pack(const std::vector<int64_t>& longest_first, const Dataset& dataset, int64_t max_tokens) {
  MicroBatches batches;
  std::vector<int64_t> room;  // tokens left in each
  for (const int64_t example : longest_first) {
    const int64_t tokens = dataset.tokens(example);
    auto fit = std::ranges::find_if(room, [&](int64_t left) { return left >= tokens; });
    if (fit == room.end()) {
      batches.emplace_back();
      fit = room.insert(fit, max_tokens);
    }
    batches[static_cast<size_t>(fit - room.begin())].push_back(example);
    *fit -= tokens;
  }
  return batches;
}

MicroBatches group(const std::vector<int64_t>& longest_first, int64_t max_examples) {
  MicroBatches batches;
  for (const int64_t example : longest_first) {
    if (batches.empty() || static_cast<int64_t>(batches.back().size()) == max_examples)
      batches.emplace_back();
    batches.back().push_back(example);
  }
  return batches;
}

}  // namespace

std::vector<int64_t> share_of_rank(std::span<const int64_t> global_batch, int64_t rank, int64_t world_size,
                                   const Dataset& dataset, const MicroBatchLimits& limits) {
  if (world_size < 1 || rank < 0 || rank >= world_size) throw std::logic_error("share_of_rank: no such rank");
  if (world_size == 1) return {global_batch.begin(), global_batch.end()};
  const auto examples = static_cast<int64_t>(global_batch.size());
  const int64_t most = limits.packing ? examples : (examples + world_size - 1) / world_size;
  struct Load {
    int64_t tokens = 0, examples = 0;
  };
  std::vector<Load> loads(static_cast<size_t>(world_size));
  std::vector<int64_t> share;
  for (const int64_t example : sorted_by_length(global_batch, dataset)) {
    const auto least = std::ranges::min_element(
        loads, {}, [&](const Load& load) { return std::pair(load.examples == most, load.tokens); });
    least->tokens += dataset.tokens(example);
    ++least->examples;
    if (least - loads.begin() == rank) share.push_back(example);
  }
  return share;
}

MicroBatches lay_into_micro_batches(std::span<const int64_t> examples, const Dataset& dataset,
                                    const MicroBatchLimits& limits) {
  if (limits.max_examples < 1 || limits.max_tokens < 1)
    throw std::logic_error("lay_into_micro_batches: empty limits");
  const std::vector<int64_t> longest_first = sorted_by_length(examples, dataset);
  return limits.packing ? pack(longest_first, dataset, limits.max_tokens)
                        : group(longest_first, limits.max_examples);
}

int64_t most_micro_batches(std::span<const int64_t> examples, int64_t world_size, const Dataset& dataset,
                           const MicroBatchLimits& limits) {
  size_t most = 0;
  for (int64_t rank = 0; rank < world_size; ++rank) {
    const std::vector<int64_t> share = share_of_rank(examples, rank, world_size, dataset, limits);
    most = std::max(most, lay_into_micro_batches(share, dataset, limits).size());
  }
  return static_cast<int64_t>(most);
}

}  // namespace excitor
