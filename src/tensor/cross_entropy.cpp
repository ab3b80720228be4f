// Cross-entropy of label rows in chunks, gradients taken while a chunk's logits are there.
// R rows, c rows of a chunk, D width, V vocabulary.
#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>
#include <excitor/tensor/matmul.h>

#include "device_operators.h"

namespace excitor {
namespace {

/// fp32 for everything but fp64.
at::ScalarType loss_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// Loss and gradients, filled chunk by chunk; a gradient that is not needed stays undefined.
class ChunkedLoss {
 public:
  ChunkedLoss(const at::Tensor& hidden, const OutputHead& head, double weight)
      : hidden_(hidden.detach()), head_(head), weight_(weight) {
    if (any_requires_grad({hidden})) hidden_grad_ = at::empty_like(hidden);
    if (any_requires_grad({head.trainable})) head_grad_ = at::zeros_like(head.trainable);
    if (head.trainable.defined()) matrix_ = head.trainable.detach().to(hidden.scalar_type());
    total_ = at::zeros({}, hidden.options().dtype(loss_type(hidden)));
  }

  /// Rows [begin, begin + c). targets [c].
  void add(int64_t begin, const at::Tensor& targets) {
    const at::Tensor rows = hidden_.narrow(0, begin, targets.size(0));                            // [c,D]
    at::Tensor logits = matrix_.defined() ? matmul_nt(rows, matrix_) : head_.frozen.apply(rows);  // [c,V]
    const bool needs_grad = hidden_grad_.defined() || head_grad_.defined();
    total_.add_(operators::softmax_cross_entropy_(logits, targets, weight_, needs_grad), weight_);
    const at::Tensor& grad = logits;  // overwritten, [c,V]
    if (hidden_grad_.defined()) {
      hidden_grad_.narrow(0, begin, targets.size(0))
          .copy_(matrix_.defined() ? matmul_nn(grad, matrix_) : head_.frozen.apply_transposed(grad));
    }
    if (head_grad_.defined()) head_grad_.add_(weight_gradient(grad, rows, head_grad_.scalar_type()));
  }

  at::Tensor total() const { return total_; }
  at::Tensor hidden_grad() const { return hidden_grad_; }
  at::Tensor head_grad() const { return head_grad_; }

 private:
  at::Tensor hidden_;  // [R,D]
  OutputHead head_;
  double weight_;
  at::Tensor matrix_;       // [V,D] in the activations' type, when it is trained
  at::Tensor total_;        // scalar
  at::Tensor hidden_grad_;  // [R,D]
  at::Tensor head_grad_;    // [V,D]
};

}  // namespace

at::Tensor cross_entropy(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& targets,
                         const CrossEntropyOptions& options) {
  ChunkedLoss loss(hidden, head, options.weight);
  {
    const at::NoGradGuard no_grad;
    for (int64_t begin = 0; begin < hidden.size(0); begin += options.chunk_rows) {
      loss.add(begin, targets.narrow(0, begin, std::min(options.chunk_rows, hidden.size(0) - begin)));
    }
  }
  // The gradients are moved out, so that they are handed on and not copied; a graph is walked once.
  auto backward = [hidden_grad = loss.hidden_grad(), head_grad = loss.head_grad()](
                      const at::Tensor& grad, const std::vector<bool>&) mutable {
    if (hidden_grad.defined()) hidden_grad.mul_(grad);
    if (head_grad.defined()) head_grad.mul_(grad);
    return std::vector<at::Tensor>{std::move(hidden_grad), std::move(head_grad)};
  };
  return attach_backward("CrossEntropy", loss.total(), {hidden, head.trainable}, std::move(backward));
}

}  // namespace excitor
