// Batches of images and batches of texts in turn (arXiv 2304.15010, section 4.1: joint training).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <excitor/data/sampler.h>

namespace excitor {

/// Deals texts and images out in global batches of one kind each. An epoch sees every example as often as its
/// weight says; the batches of the kind that has fewer of them are spread evenly among the others. A function
/// of (seed, step), as Sampler is.
class JointSampler {
 public:
  /// `shows_image`: of all examples, or empty: batches may hold both, and this is Sampler itself.
  JointSampler(const Sampler::Options& options, const std::vector<bool>& shows_image);

  int64_t steps_per_epoch() const { return static_cast<int64_t>(turns_.size()); }
  /// Indices of the examples of optimiser step `step` (from 0).
  std::vector<int64_t> global_batch(int64_t step);
  /// Epochs finished after `steps` steps, as a fraction.
  double epoch_after(int64_t steps) const;

 private:
  /// One kind of examples, and the batches of an epoch that it makes.
  struct Kind {
    Sampler sampler;
    std::vector<int64_t> indices;  ///< in the dataset; empty: all of it
  };
  struct Turn {
    size_t kind = 0;
    int64_t batch = 0;  ///< of the kind, in its epoch
  };

  void add_kind(const Sampler::Options& options, const std::vector<bool>& shows_image, bool wanted);
  void take_turns();

  int64_t global_batch_size_;
  std::vector<Kind> kinds_;
  std::vector<Turn> turns_;  ///< of an epoch
};

}  // namespace excitor
