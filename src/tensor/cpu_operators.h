// The operators of device_operators.h by the kernels of cpu_kernels.h. Each returns nothing where there is
// none for its arguments (types other than fp32 and bf16, other layouts, older processors): plain ATen calls
// compute it then.
#pragma once

#include <optional>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace excitor::operators {

std::optional<std::tuple<at::Tensor, at::Tensor>> cpu_rms_norm(const at::Tensor& x, const at::Tensor& weight,
                                                               double eps);
/// dx alone.
std::optional<at::Tensor> cpu_rms_norm_backward(const at::Tensor& dy, const at::Tensor& x,
                                                const at::Tensor& weight, const at::Tensor& rstd);
std::optional<at::Tensor> cpu_silu_mul(const at::Tensor& gate, const at::Tensor& up);
std::optional<std::tuple<at::Tensor, at::Tensor>> cpu_silu_mul_backward(const at::Tensor& dy,
                                                                        const at::Tensor& gate,
                                                                        const at::Tensor& up);
std::optional<at::Tensor> cpu_rotate_half(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);
std::optional<at::Tensor> cpu_softmax_cross_entropy_(at::Tensor& logits, const at::Tensor& targets,
                                                     double weight, bool needs_grad);
/// These are done in place: false where they are not.
bool cpu_causal_softmax_(at::Tensor& scores, int64_t block);
bool cpu_causal_softmax_backward_(at::Tensor& dp, const at::Tensor& p, int64_t block);

}  // namespace excitor::operators
