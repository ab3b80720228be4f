#include "device_operators.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <torch/library.h>

#include "cpu_operators.h"

namespace excitor::operators {
namespace {

using TensorPair = std::tuple<at::Tensor, at::Tensor>;

/// The type in which statistics are taken: fp32, or fp64 for fp64.
at::ScalarType statistics_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

TensorPair plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(statistics_type(x));
  at::Tensor rstd = at::rsqrt(wide.square().mean(-1, true).add_(eps));  // [T,1]
  return {at::mul(wide, rstd).to(x.scalar_type()).mul_(weight.to(x.scalar_type())), rstd};
}

/// With n = x·rstd and g = dy·w:  dx = rstd·(g − n·mean(g·n)),  dw = Σ_t dy·n.
TensorPair plain_rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                   const at::Tensor& rstd, std::array<bool, 2> needs) {
  at::Tensor dx, dw;
  const at::ScalarType wide = rstd.scalar_type();
  const at::Tensor normed = x.to(wide).mul(rstd);
  const at::Tensor dy_wide = dy.to(wide);
  if (needs[1]) dw = at::mul(dy_wide, normed).sum(0).to(weight.scalar_type());
  if (needs[0]) {
    at::Tensor g = at::mul(dy_wide, weight.to(x.scalar_type()).to(wide));
    const at::Tensor mean = at::mul(g, normed).mean(-1, true);  // [T,1]
    dx = g.addcmul_(normed, mean, -1).mul_(rstd).to(x.scalar_type());
  }
  return {dx, dw};
}

at::Tensor plain_silu_mul(const at::Tensor& gate, const at::Tensor& up) {
  return at::silu(gate).mul_(up);
}

TensorPair plain_silu_mul_backward(const at::Tensor& dy, const at::Tensor& gate, const at::Tensor& up) {
  return {at::silu_backward(at::mul(dy, up), gate), at::silu(gate).mul_(dy)};
}

/// Halves of the last dimension: [T,h,d] -> [T,h,d/2] twice.
std::pair<at::Tensor, at::Tensor> halves(const at::Tensor& x) {
  const int64_t half = x.size(-1) / 2;
  return {x.narrow(-1, 0, half), x.narrow(-1, half, half)};
}

at::Tensor plain_rotate_half(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  at::Tensor y = at::empty_like(x, at::MemoryFormat::Contiguous);
  const auto [x1, x2] = halves(x);
  auto [y1, y2] = halves(y);
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);  // [T,1,d/2]
  at::mul_out(y1, x1, c).addcmul_(x2, s, -1);
  at::mul_out(y2, x2, c).addcmul_(x1, s);
  return y;
}

at::Tensor plain_softmax_cross_entropy_(at::Tensor& raw, const at::Tensor& targets, double weight,
                                        bool needs_grad) {
  at::Tensor logits = raw.to(statistics_type(raw));   // [c,V]
  const at::Tensor index = targets.unsqueeze(1);      // [c,1]
  const at::Tensor chosen = logits.gather(1, index);  // [c,1]
  const at::Tensor top = logits.amax(1, true);        // [c,1]
  // One vectorised pass; the largest probability is at least 1/V, so its logarithm gives the normaliser. In
  // place where that is known to be sound: ATen promises it for no device.
  const at::Tensor p = logits.is_cpu() ? at::_softmax_out(logits, logits, 1, /*half_to_float=*/false)
                                       : at::_softmax(logits, 1, /*half_to_float=*/false);
  const at::Tensor loss = top.sub(p.amax(1, true).log_()).sub_(chosen).sum();
  if (needs_grad) raw.copy_(p.scatter_add_(1, index, at::full_like(chosen, -1)).mul_(weight));
  return loss;
}

TensorPair rms_norm_backward_on_cpu(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                    const at::Tensor& rstd, std::array<bool, 2> needs) {
  const auto dx = needs[0] ? cpu_rms_norm_backward(dy, x, weight, rstd) : std::nullopt;
  if (!dx) return plain_rms_norm_backward(dy, x, weight, rstd, needs);
  if (!needs[1]) return {*dx, at::Tensor()};
  return {*dx, std::get<1>(plain_rms_norm_backward(dy, x, weight, rstd, {false, true}))};
}

/// The operator of this name, found once, called below autograd.
template <class Signature>
class Operator {
 public:
  explicit Operator(const char* name)
      : handle_(c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>()) {}

  template <class... Arguments>
  auto operator()(Arguments&... arguments) const {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    return handle_.call(arguments...);
  }

 private:
  c10::TypedOperatorHandle<Signature> handle_;
};

}  // namespace

TORCH_LIBRARY(excitor, library) {
  library.def("rms_norm(Tensor x, Tensor weight, float eps) -> (Tensor, Tensor)");
  library.def(
      "rms_norm_backward(Tensor dy, Tensor x, Tensor weight, Tensor rstd, bool[2] needs) -> (Tensor, "
      "Tensor)");
  library.def("silu_mul(Tensor gate, Tensor up) -> Tensor");
  library.def("silu_mul_backward(Tensor dy, Tensor gate, Tensor up) -> (Tensor, Tensor)");
  library.def("rotate_half(Tensor x, Tensor cos, Tensor sin) -> Tensor");
  library.def(
      "softmax_cross_entropy_(Tensor(a!) logits, Tensor targets, float weight, bool needs_grad) -> Tensor");
}

TORCH_LIBRARY_IMPL(excitor, CompositeExplicitAutograd, library) {
  library.impl("rms_norm", plain_rms_norm);
  library.impl("rms_norm_backward", plain_rms_norm_backward);
  library.impl("silu_mul", plain_silu_mul);
  library.impl("silu_mul_backward", plain_silu_mul_backward);
  library.impl("rotate_half", plain_rotate_half);
  library.impl("softmax_cross_entropy_", plain_softmax_cross_entropy_);
}

TORCH_LIBRARY_IMPL(excitor, CPU, library) {
  library.impl("rms_norm", [](const at::Tensor& x, const at::Tensor& weight, double eps) {
    const auto result = cpu_rms_norm(x, weight, eps);
    return result ? *result : plain_rms_norm(x, weight, eps);
  });
  library.impl("rms_norm_backward", rms_norm_backward_on_cpu);
  library.impl("silu_mul", [](const at::Tensor& gate, const at::Tensor& up) {
    const auto result = cpu_silu_mul(gate, up);
    return result ? *result : plain_silu_mul(gate, up);
  });
  library.impl("silu_mul_backward", [](const at::Tensor& dy, const at::Tensor& gate, const at::Tensor& up) {
    const auto result = cpu_silu_mul_backward(dy, gate, up);
    return result ? *result : plain_silu_mul_backward(dy, gate, up);
  });
  library.impl("rotate_half", [](const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
    const auto result = cpu_rotate_half(x, cos, sin);
    return result ? *result : plain_rotate_half(x, cos, sin);
  });
  library.impl("softmax_cross_entropy_",
               [](at::Tensor& logits, const at::Tensor& targets, double weight, bool needs_grad) {
                 const auto result = cpu_softmax_cross_entropy_(logits, targets, weight, needs_grad);
                 return result ? *result : plain_softmax_cross_entropy_(logits, targets, weight, needs_grad);
               });
}

TensorPair rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  static const Operator<decltype(plain_rms_norm)> kOperator("excitor::rms_norm");
  return kOperator(x, weight, eps);
}

TensorPair rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& rstd, std::array<bool, 2> needs) {
  static const Operator<decltype(plain_rms_norm_backward)> kOperator("excitor::rms_norm_backward");
  return kOperator(dy, x, weight, rstd, needs);
}

at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up) {
  static const Operator<decltype(plain_silu_mul)> kOperator("excitor::silu_mul");
  return kOperator(gate, up);
}

TensorPair silu_mul_backward(const at::Tensor& dy, const at::Tensor& gate, const at::Tensor& up) {
  static const Operator<decltype(plain_silu_mul_backward)> kOperator("excitor::silu_mul_backward");
  return kOperator(dy, gate, up);
}

at::Tensor rotate_half(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  static const Operator<decltype(plain_rotate_half)> kOperator("excitor::rotate_half");
  return kOperator(x, cos, sin);
}

at::Tensor softmax_cross_entropy_(at::Tensor& logits, const at::Tensor& targets, double weight,
                                  bool needs_grad) {
  static const Operator<decltype(plain_softmax_cross_entropy_)> kOperator("excitor::softmax_cross_entropy_");
  return kOperator(logits, targets, weight, needs_grad);
}

}  // namespace excitor::operators
