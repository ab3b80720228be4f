#include "cpu_operators.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/Exception.h>

#include "cpu_kernels.h"

namespace excitor::operators {
namespace {

/// Those of the instruction set that ATen takes, which ATEN_CPU_CAPABILITY may hold down; or null.
const cpu::Kernels* kernels() {
#ifdef __x86_64__
  static const cpu::Kernels* const kChosen = [] {
    const std::string capability = at::get_cpu_capability();
    return capability == "AVX512" ? &cpu::kAvx512Kernels
           : capability == "AVX2" ? &cpu::kAvx2Kernels
                                  : nullptr;
  }();
  return kChosen;
#else
  return nullptr;
#endif
}

std::optional<cpu::Scalar> scalar_of(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return cpu::Scalar::float32;
  if (x.scalar_type() == at::kBFloat16) return cpu::Scalar::bfloat16;
  return std::nullopt;
}

/// The type of all these tensors, if there are kernels for it and all are contiguous.
std::optional<cpu::Scalar> common_type(std::initializer_list<const at::Tensor*> tensors) {
  const at::Tensor& first = **tensors.begin();
  const bool fits = std::all_of(tensors.begin(), tensors.end(), [&](const at::Tensor* x) {
    return x->is_cpu() && x->is_contiguous() && x->scalar_type() == first.scalar_type();
  });
  return kernels() != nullptr && fits ? scalar_of(first) : std::nullopt;
}

/// Calls work(begin, end) for parts of [0, count), each of which costs `size` numbers.
template <class Work>
void in_parallel(int64_t count, int64_t size, const Work& work) {
  constexpr int64_t kNumbersOfAThread = 32'768;
  at::parallel_for(0, count, std::max<int64_t>(1, kNumbersOfAThread / std::max<int64_t>(size, 1)), work);
}

}  // namespace

std::optional<std::tuple<at::Tensor, at::Tensor>> cpu_rms_norm(const at::Tensor& x, const at::Tensor& weight,
                                                               double eps) {
  const auto type = common_type({&x, &weight});
  if (!type) return std::nullopt;
  const at::Tensor y = at::empty_like(x), rstd = at::empty({x.size(0), 1}, x.options().dtype(at::kFloat));
  const cpu::RmsNorm a{.x = x.const_data_ptr(),
                       .weight = weight.const_data_ptr(),
                       .y = y.mutable_data_ptr(),
                       .rstd = rstd.mutable_data_ptr<float>(),
                       .width = x.size(1),
                       .eps = static_cast<float>(eps)};
  in_parallel(x.size(0), x.size(1),
              [&](int64_t begin, int64_t end) { kernels()->rms_norm(*type, a, begin, end); });
  return std::tuple(y, rstd);
}

std::optional<at::Tensor> cpu_rms_norm_backward(const at::Tensor& dy, const at::Tensor& x,
                                                const at::Tensor& weight, const at::Tensor& rstd) {
  const auto type = common_type({&dy, &x, &weight});
  if (!type) return std::nullopt;
  at::Tensor dx = at::empty_like(x);
  const cpu::RmsNormBackward a{.dy = dy.const_data_ptr(),
                               .x = x.const_data_ptr(),
                               .weight = weight.const_data_ptr(),
                               .rstd = rstd.const_data_ptr<float>(),
                               .dx = dx.mutable_data_ptr(),
                               .width = x.size(1)};
  in_parallel(x.size(0), x.size(1),
              [&](int64_t begin, int64_t end) { kernels()->rms_norm_backward(*type, a, begin, end); });
  return dx;
}

std::optional<at::Tensor> cpu_silu_mul(const at::Tensor& gate, const at::Tensor& up) {
  const auto type = common_type({&gate, &up});
  if (!type || gate.sizes() != up.sizes()) return std::nullopt;
  at::Tensor y = at::empty_like(gate);
  const cpu::SiluMul a{.gate = gate.const_data_ptr(), .up = up.const_data_ptr(), .y = y.mutable_data_ptr()};
  in_parallel(gate.numel(), 1,
              [&](int64_t begin, int64_t end) { kernels()->silu_mul(*type, a, begin, end); });
  return y;
}

std::optional<std::tuple<at::Tensor, at::Tensor>> cpu_silu_mul_backward(const at::Tensor& dy,
                                                                        const at::Tensor& gate,
                                                                        const at::Tensor& up) {
  const auto type = common_type({&dy, &gate, &up});
  if (!type || gate.sizes() != up.sizes() || dy.sizes() != up.sizes()) return std::nullopt;
  const at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
  const cpu::SiluMulBackward a{.dy = dy.const_data_ptr(),
                               .gate = gate.const_data_ptr(),
                               .up = up.const_data_ptr(),
                               .dgate = dgate.mutable_data_ptr(),
                               .dup = dup.mutable_data_ptr()};
  in_parallel(gate.numel(), 1,
              [&](int64_t begin, int64_t end) { kernels()->silu_mul_backward(*type, a, begin, end); });
  return std::tuple(dgate, dup);
}

std::optional<at::Tensor> cpu_rotate_half(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto type = common_type({&cos, &sin});
  const bool fits = x.scalar_type() == cos.scalar_type() && x.stride(2) == 1 &&
                    cos.sizes() == at::IntArrayRef{x.size(0), x.size(2) / 2} && sin.sizes() == cos.sizes();
  if (!type || !fits) return std::nullopt;
  at::Tensor y = at::empty_like(x, at::MemoryFormat::Contiguous);
  const cpu::Rotation a{.x = x.const_data_ptr(),
                        .cos = cos.const_data_ptr(),
                        .sin = sin.const_data_ptr(),
                        .y = y.mutable_data_ptr(),
                        .heads = x.size(1),
                        .width = x.size(2),
                        .token_stride = x.stride(0),
                        .head_stride = x.stride(1)};
  in_parallel(x.size(0), x.size(1) * x.size(2),
              [&](int64_t begin, int64_t end) { kernels()->rotate_half(*type, a, begin, end); });
  return y;
}

std::optional<at::Tensor> cpu_softmax_cross_entropy_(at::Tensor& logits, const at::Tensor& targets,
                                                     double weight, bool needs_grad) {
  const auto type = common_type({&logits});
  if (!type || !targets.is_contiguous()) return std::nullopt;
  const auto* const ids = targets.const_data_ptr<int64_t>();
  TORCH_CHECK_INDEX(targets.numel() == logits.size(0), "cross-entropy: ", targets.numel(), " targets for ",
                    logits.size(0), " rows of logits");
  for (int64_t row = 0; row < targets.numel(); ++row) {
    TORCH_CHECK_INDEX(0 <= ids[row] && ids[row] < logits.size(1), "cross-entropy: target ", ids[row],
                      " is none of the ", logits.size(1), " tokens");
  }
  const at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  const cpu::CrossEntropy a{.logits = logits.mutable_data_ptr(),
                            .targets = ids,
                            .losses = losses.mutable_data_ptr<float>(),
                            .vocabulary = logits.size(1),
                            .weight = static_cast<float>(weight),
                            .has_grad = needs_grad};
  in_parallel(logits.size(0), logits.size(1),
              [&](int64_t begin, int64_t end) { kernels()->cross_entropy(*type, a, begin, end); });
  return losses.sum();
}

bool cpu_causal_softmax_(at::Tensor& scores, int64_t block) {
  if (common_type({&scores}) != cpu::Scalar::float32) return false;
  const int64_t n = scores.size(-1);
  const cpu::CausalSoftmax a{.scores = scores.mutable_data_ptr<float>(), .n = n, .block = block};
  in_parallel(scores.numel() / n, n,
              [&](int64_t begin, int64_t end) { kernels()->causal_softmax(a, begin, end); });
  return true;
}

bool cpu_causal_softmax_backward_(at::Tensor& dp, const at::Tensor& p, int64_t block) {
  if (common_type({&dp, &p}) != cpu::Scalar::float32) return false;
  const int64_t n = dp.size(-1);
  const cpu::CausalSoftmaxBackward a{
      .p = p.const_data_ptr<float>(), .dp = dp.mutable_data_ptr<float>(), .n = n, .block = block};
  in_parallel(dp.numel() / n, n,
              [&](int64_t begin, int64_t end) { kernels()->causal_softmax_backward(a, begin, end); });
  return true;
}

}  // namespace excitor::operators
