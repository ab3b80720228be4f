// Fused operators that a device may compute in its own way. They are operators of ATen's dispatcher, in the
// namespace "excitor": what stands here in plain ATen calls serves every device, cpu_operators.h has kernels
// for CPUs, and the CUDA module registers kernels of its own. Nothing here knows autograd; the backward
// passes are operators like the others. T tokens, h heads, d head width, D width, F feed-forward width. Any
// floating type unless said otherwise.
#pragma once

#include <array>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace excitor::operators {

/// {y [T,D], 1/√(mean(x²) + eps) [T,1] in the type of statistics}: see excitor::rms_norm().
std::tuple<at::Tensor, at::Tensor> rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// {dx [T,D], dweight [D]} in the types of x and weight; what `needs` does not ask for is undefined.
std::tuple<at::Tensor, at::Tensor> rms_norm_backward(const at::Tensor& dy, const at::Tensor& x,
                                                     const at::Tensor& weight, const at::Tensor& rstd,
                                                     std::array<bool, 2> needs);

/// silu(gate) ⊙ up: [T,F].
at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up);
/// {dgate, dup}: [T,F] each.
std::tuple<at::Tensor, at::Tensor> silu_mul_backward(const at::Tensor& dy, const at::Tensor& gate,
                                                     const at::Tensor& up);

/// Rotates the pairs (j, j + d/2) of each head by angles given as cos and sin [T,d/2]: x [T,h,d] -> [T,h,d],
/// contiguous.
at::Tensor rotate_half(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

/// Σ_r −log softmax(logits_r)[target_r], a scalar in fp32 (fp64 for fp64). With `needs_grad` the logits are
/// overwritten by weight · (softmax − one-hot); else by anything. logits [c,V], targets [c] int64.
at::Tensor softmax_cross_entropy_(at::Tensor& logits, const at::Tensor& targets, double weight,
                                  bool needs_grad);

}  // namespace excitor::operators
