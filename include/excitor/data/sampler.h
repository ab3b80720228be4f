// Which examples make up which optimiser step, as a function of (seed, step): resumable from the step alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <excitor/data/dataset.h>

namespace excitor {

/// Examples [begin, end), each of which an epoch sees `weight` times: the integer part in whole repetitions,
/// the fraction as so many of them, chosen anew each epoch.
struct WeightedRange {
  int64_t begin = 0;
  int64_t end = 0;
  double weight = 1;
};

/// The examples of a dataset's files with their weights, as far as they lie before `training_examples` (what
/// split_dataset leaves to train on). Empty when every weight is 1.
std::vector<WeightedRange> weighted_ranges(const std::vector<LoadedFile>& files, int64_t training_examples);

/// Deals the dataset out in global batches. Each epoch is a new permutation (or the file's order); the last
/// batch of an epoch holds what is left.
class Sampler {
 public:
  struct Options {
    int64_t examples = 0;
    int64_t global_batch_size = 1;  ///< examples of one optimiser step, over all processes
    bool shuffle = true;
    uint64_t seed = 0;
    std::vector<WeightedRange> weights = {};  ///< of all examples, in their order; empty: 1
  };
  /// Throws ConfigError when the weights leave nothing of the examples, or more than 2^31 of them.
  explicit Sampler(const Options& options);

  int64_t examples_per_epoch() const { return examples_per_epoch_; }
  int64_t steps_per_epoch() const;
  /// Indices of the examples of optimiser step `step` (from 0).
  std::vector<int64_t> global_batch(int64_t step);
  /// Epochs finished after `steps` steps, as a fraction.
  double epoch_after(int64_t steps) const;

 private:
  Options options_;
  int64_t examples_per_epoch_;
  int64_t cached_epoch_ = -1;
  std::vector<int64_t> order_;
};

struct MicroBatchLimits {
  bool packing = true;
  int64_t max_examples = 1;  ///< of a micro-batch when not packing
  int64_t max_tokens = 512;  ///< of a micro-batch when packing; a longer example stands alone
};

/// The share of process `rank` of `world_size`, such that all have about as many tokens: the step takes as
/// long as the process with most of them. Longest first, an example goes to the process with the fewest so
/// far; with packing no share is more than a third larger than the largest need be (Graham 1969), without it
/// no process gets more examples, and so micro-batches, than it need have.
std::vector<int64_t> share_of_rank(std::span<const int64_t> global_batch, int64_t rank, int64_t world_size,
                                   const Dataset& dataset, const MicroBatchLimits& limits);

/// Lays examples into micro-batches: as many as fit the token budget (first fit, longest first), or
/// max_examples each, sorted by length. The mathematics of a step does not depend on it.
std::vector<std::vector<int64_t>> lay_into_micro_batches(std::span<const int64_t> examples,
                                                         const Dataset& dataset,
                                                         const MicroBatchLimits& limits);

/// Micro-batches of the process that has most of them when `examples` are shared by `world_size` processes.
int64_t most_micro_batches(std::span<const int64_t> examples, int64_t world_size, const Dataset& dataset,
                           const MicroBatchLimits& limits);

}  // namespace excitor
