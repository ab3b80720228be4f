// AdamW (arXiv 1711.05101) over a ParameterSet: torch's fused operator, one call a group.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <excitor/tensor/parameter_set.h>
#include <excitor/tensor/safetensors.h>

namespace excitor {

class AdamW {
 public:
  struct Options {
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0;  ///< on tensors of two or more dimensions (not gates, scales, biases, norms)
  };
  AdamW(const ParameterSet& parameters, const Options& options);

  /// One update from the parameters' gradients. A parameter without one does not move, nor do its moments.
  void step(double learning_rate);

  /// Moments and step counts: "<parameter>.exp_avg", "<parameter>.exp_avg_sq", "<parameter>.step".
  std::vector<NamedTensor> state() const;
  /// Copies the state back; `lookup` gives the tensor of a name.
  void load_state(const std::function<at::Tensor(const std::string&)>& lookup);

 private:
  /// Parameters that share a weight decay, as the operator takes them.
  struct Group {
    double weight_decay = 0;
    std::vector<std::string> names;
    std::vector<at::Tensor> parameters, exp_avg, exp_avg_sq, steps;
  };
  Options options_;
  std::vector<Group> groups_;
};

/// 2-norms of gradients, on the parameters' device.
struct GradNorms {
  at::Tensor total;                ///< of all together, a scalar
  at::Tensor each;                 ///< [n] of the parameters that have a gradient
  std::vector<std::string> names;  ///< [n]
};

/// Scales all gradients so that their joint 2-norm is at most `max_norm` (torch.nn.utils.clip_grad_norm_); 0:
/// no clipping. Returns the norms before.
GradNorms clip_grad_norm(const ParameterSet& parameters, double max_norm);

}  // namespace excitor
