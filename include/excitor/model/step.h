// What one forward pass is about, for the hooks of a bypass.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/model/rope.h>
#include <excitor/tensor/segments.h>

namespace excitor {

/// Randomness of a training step (dropout): a function of the run's seed, the step and the example, so that
/// recomputation, resuming, and any split into micro-batches repeat it.
struct StepNoise {
  uint64_t key = 0;                    ///< of (seed, step)
  std::vector<uint64_t> segment_keys;  ///< of the example in each segment
};

/// What a frozen vision tower gave for the image of each sequence of a pass: features [rows,width], or an
/// undefined tensor where a sequence has no image. Empty: no sequence has one.
using SequenceImages = std::vector<at::Tensor>;

/// A bypass's own results of one pass; subclassed by methods that need some.
class PassState {
 public:
  virtual ~PassState() = default;
};

/// A small value that may be copied into backward closures: it shares what it refers to.
class Step {
 public:
  Step(Segments segments, Rotary rotary, std::optional<StepNoise> noise,
       std::shared_ptr<const PassState> state);

  /// The sequences of the whole pass, T tokens.
  const Segments& segments() const { return shared_->segments; }
  /// Rotates x [T,h,d] by the positions of the tokens.
  at::Tensor rotary(const at::Tensor& x) const { return shared_->rotary(x); }
  const PassState* state() const { return shared_->state.get(); }

  /// The tokens that a hook's x holds: [R] int64 of the T tokens, or undefined: all of them.
  const at::Tensor& rows() const { return rows_; }
  Step with_rows(at::Tensor rows) const;

  /// Dropout of x [T or R, width]: 0 or 1/(1−p) for each element, a function of (noise, stream, example,
  /// position). Undefined outside training.
  at::Tensor dropout_mask(uint64_t stream, double p, const at::Tensor& x) const;
  bool is_training() const { return shared_->noise.has_value(); }

 private:
  struct Shared {
    Segments segments;
    Rotary rotary;
    std::optional<StepNoise> noise;
    std::shared_ptr<const PassState> state;
  };
  std::shared_ptr<const Shared> shared_;
  at::Tensor rows_;
};

}  // namespace excitor
