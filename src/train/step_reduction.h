// What the processes of a run tell each other in a step: gradients and sums, in one flat all-reduce.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/dist/communicator.h>
#include <excitor/tensor/parameter_set.h>
#include <excitor/train/trainer.h>

namespace excitor {

/// What a process adds to a step, or what all have added together.
struct StepSums {
  double loss = 0;  ///< times the loss scale
  int64_t tokens = 0;
  StepRequests requests;
};

/// A flat buffer of the parameters' type, laid out as: all gradients; for each parameter the number of
/// processes that have a gradient for it; counts; the loss of each process in a place of its own, so that
/// their sum is taken in double precision. Every number but the gradients is added exactly.
class StepReduction {
 public:
  StepReduction(const ParameterSet& parameters, Communicator& communicator);

  /// Makes the gradients of `parameters` the sums over all processes (views of the buffer: valid until the
  /// next call) and returns the sums of the rest. A parameter that has no gradient in any process is left
  /// without.
  StepSums sum(const ParameterSet& parameters, const StepSums& own);
  /// Bytes of the all-reduce; 0 with one process.
  int64_t bytes() const { return buffer_.defined() ? buffer_.numel() * buffer_.element_size() : 0; }

 private:
  void write(const ParameterSet& parameters, const StepSums& own);
  StepSums read(const ParameterSet& parameters);

  Communicator& communicator_;
  at::Tensor buffer_;                  // [N]
  std::vector<at::Tensor> gradients_;  ///< views, in the order of the parameters
  at::Tensor rest_;                    ///< view of what stands behind the gradients
};

}  // namespace excitor
