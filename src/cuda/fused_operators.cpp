// The operators of tensor/device_operators.h on a GPU, by the kernels of kernels.cu. What those do not know
// (fp64, the gradient of a norm's weight) is left to ATen.
#include <array>
#include <tuple>

#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_rms_norm_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include "kernels.h"

namespace excitor {
namespace {

using TensorPair = std::tuple<at::Tensor, at::Tensor>;

kernels::Scalar scalar_of(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return kernels::Scalar::float32;
    case at::kBFloat16:
      return kernels::Scalar::bfloat16;
    case at::kHalf:
      return kernels::Scalar::float16;
    default:
      TORCH_CHECK_NOT_IMPLEMENTED(false, "excitor's kernels for CUDA take fp32, bf16 and fp16, not ",
                                  x.scalar_type());
  }
}

/// x as the kernels read it: contiguous, and where 16 bytes can be read at once.
at::Tensor readable(const at::Tensor& x) {
  constexpr uintptr_t kBytes = 16;
  const at::Tensor whole = x.contiguous();
  return reinterpret_cast<uintptr_t>(whole.const_data_ptr()) % kBytes == 0 ? whole : whole.clone();
}

cudaStream_t stream_of(const at::Tensor& x) {
  return c10::cuda::getCurrentCUDAStream(x.device().index());
}

TensorPair rms_norm(const at::Tensor& x_in, const at::Tensor& weight_in, double eps) {
  const c10::DeviceGuard guard(x_in.device());
  const at::Tensor x = readable(x_in), weight = readable(weight_in.to(x.scalar_type()));
  at::Tensor y = at::empty_like(x), rstd = at::empty({x.size(0), 1}, x.options().dtype(at::kFloat));
  if (x.numel() == 0) return {y, rstd};
  C10_CUDA_CHECK(kernels::rms_norm(scalar_of(x),
                                   {.x = x.const_data_ptr(),
                                    .weight = weight.const_data_ptr(),
                                    .y = y.mutable_data_ptr(),
                                    .rstd = rstd.mutable_data_ptr<float>(),
                                    .tokens = x.size(0),
                                    .width = x.size(1),
                                    .eps = static_cast<float>(eps)},
                                   stream_of(x)));
  return {y, rstd};
}

TensorPair rms_norm_backward(const at::Tensor& dy_in, const at::Tensor& x_in, const at::Tensor& weight_in,
                             const at::Tensor& rstd, std::array<bool, 2> needs) {
  const c10::DeviceGuard guard(x_in.device());
  const at::Tensor weight = weight_in.to(x_in.scalar_type());
  if (needs[1]) {
    auto [dx, dw] = at::_fused_rms_norm_backward(dy_in.contiguous(), x_in.contiguous(), {x_in.size(1)}, rstd,
                                                 weight.contiguous(), needs);
    return {dx, dw.to(weight_in.scalar_type())};
  }
  const at::Tensor dy = readable(dy_in), x = readable(x_in), w = readable(weight);
  at::Tensor dx = at::empty_like(x);
  if (x.numel() == 0) return {dx, {}};
  C10_CUDA_CHECK(kernels::rms_norm_backward(scalar_of(x),
                                            {.dy = dy.const_data_ptr(),
                                             .x = x.const_data_ptr(),
                                             .weight = w.const_data_ptr(),
                                             .rstd = rstd.const_data_ptr<float>(),
                                             .dx = dx.mutable_data_ptr(),
                                             .tokens = x.size(0),
                                             .width = x.size(1)},
                                            stream_of(x)));
  return {dx, {}};
}

at::Tensor silu_mul(const at::Tensor& gate_in, const at::Tensor& up_in) {
  const c10::DeviceGuard guard(gate_in.device());
  const at::Tensor gate = readable(gate_in), up = readable(up_in);
  at::Tensor y = at::empty_like(gate);
  if (y.numel() == 0) return y;
  C10_CUDA_CHECK(kernels::silu_mul(scalar_of(gate),
                                   {.gate = gate.const_data_ptr(),
                                    .up = up.const_data_ptr(),
                                    .y = y.mutable_data_ptr(),
                                    .count = gate.numel()},
                                   stream_of(gate)));
  return y;
}

TensorPair silu_mul_backward(const at::Tensor& dy_in, const at::Tensor& gate_in, const at::Tensor& up_in) {
  const c10::DeviceGuard guard(gate_in.device());
  const at::Tensor dy = readable(dy_in), gate = readable(gate_in), up = readable(up_in);
  at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
  if (gate.numel() == 0) return {dgate, dup};
  C10_CUDA_CHECK(kernels::silu_mul_backward(scalar_of(gate),
                                            {.dy = dy.const_data_ptr(),
                                             .gate = gate.const_data_ptr(),
                                             .up = up.const_data_ptr(),
                                             .dgate = dgate.mutable_data_ptr(),
                                             .dup = dup.mutable_data_ptr(),
                                             .count = gate.numel()},
                                            stream_of(gate)));
  return {dgate, dup};
}

at::Tensor rotate_half(const at::Tensor& x_in, const at::Tensor& cos_in, const at::Tensor& sin_in) {
  const c10::DeviceGuard guard(x_in.device());
  const at::Tensor x = readable(x_in), cos = readable(cos_in), sin = readable(sin_in);
  at::Tensor y = at::empty_like(x);
  if (x.numel() == 0) return y;
  C10_CUDA_CHECK(kernels::rotate_half(scalar_of(x),
                                      {.x = x.const_data_ptr(),
                                       .cos = cos.const_data_ptr(),
                                       .sin = sin.const_data_ptr(),
                                       .y = y.mutable_data_ptr(),
                                       .tokens = x.size(0),
                                       .heads = x.size(1),
                                       .width = x.size(2)},
                                      stream_of(x)));
  return y;
}

at::Tensor softmax_cross_entropy_(at::Tensor& logits, const at::Tensor& targets, double weight,
                                  bool needs_grad) {
  const c10::DeviceGuard guard(logits.device());
  const at::Tensor read = readable(logits), wanted = targets.contiguous();
  const at::Tensor losses = at::empty({read.size(0)}, read.options().dtype(at::kFloat));  // [c]
  C10_CUDA_CHECK(kernels::cross_entropy(scalar_of(read),
                                        {.logits = read.const_data_ptr(),
                                         .targets = wanted.const_data_ptr<int64_t>(),
                                         .losses = losses.mutable_data_ptr<float>(),
                                         .grad = needs_grad ? read.mutable_data_ptr() : nullptr,
                                         .rows = read.size(0),
                                         .vocabulary = read.size(1),
                                         .weight = static_cast<float>(weight)},
                                        stream_of(read)));
  if (needs_grad && !read.is_same(logits)) logits.copy_(read);
  return losses.sum();
}

}  // namespace
}  // namespace excitor

TORCH_LIBRARY_IMPL(excitor, CUDA, library) {
  library.impl("rms_norm", excitor::rms_norm);
  library.impl("rms_norm_backward", excitor::rms_norm_backward);
  library.impl("silu_mul", excitor::silu_mul);
  library.impl("silu_mul_backward", excitor::silu_mul_backward);
  library.impl("rotate_half", excitor::rotate_half);
  library.impl("softmax_cross_entropy_", excitor::softmax_cross_entropy_);
}
