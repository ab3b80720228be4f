// What the processes of a run tell each other in a step, in one flat all-reduce, and what the host is told of
// it, in one read.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/dist/communicator.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/train/trainer.h>

namespace excitor {

/// What a process adds to a step besides gradients and loss.
struct StepCounts {
  int64_t tokens = 0;
  StepRequests requests;
};

/// What all processes have added together.
struct StepSums {
  double loss = 0;  ///< times the loss scale
  int64_t tokens = 0;
  StepRequests requests;
};

/// A flat buffer of the parameters' type, laid out as: all gradients; for each parameter the number of
/// processes that have a gradient for it; counts; the loss of each process in a place of its own, so that
/// their sum is taken in double precision. Every number but the gradients is added exactly. Alone, a process
/// has no buffer: nothing is copied.
///
/// A step is `add_up`, `values` and `finish`. The first two give the device its work without waiting for it,
/// so that what else the host wants to know can be read together with the values.
class StepReduction {
 public:
  StepReduction(const ParameterSet& parameters, Communicator& communicator);

  /// Makes the gradients of `parameters` the sums over all processes: views of the buffer, valid until the
  /// next call; zeros where no process has one. `own_loss`: a scalar on the device, undefined where this
  /// process has no example.
  void add_up(const ParameterSet& parameters, const at::Tensor& own_loss, const StepCounts& own);
  /// What `finish` reads, on the device: [number of values]
  at::Tensor values() const { return values_; }
  /// The sums, from values() on the host. Takes the gradient from each parameter that has none in any
  /// process.
  StepSums finish(const ParameterSet& parameters, std::span<const double> values) const;

  /// Bytes of the all-reduce; 0 with one process.
  int64_t bytes() const { return buffer_.defined() ? buffer_.numel() * buffer_.element_size() : 0; }

 private:
  void write_gradients(const ParameterSet& parameters);
  void write_values(const ParameterSet& parameters, const at::Tensor& own_loss, const StepCounts& own);

  Communicator& communicator_;
  at::Tensor buffer_;                  // [N]
  std::vector<at::Tensor> gradients_;  ///< views, in the order of the parameters
  at::Tensor values_;                  ///< view of what stands behind the gradients; alone the loss, [1]
  StepCounts own_;                     ///< of the step, for a process alone
};

}  // namespace excitor
