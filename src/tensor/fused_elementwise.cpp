// RMSNorm, SwiGLU and rotary position embedding.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>

namespace excitor {
namespace {

/// The type in which statistics are taken: fp32, or fp64 for fp64.
at::ScalarType statistics_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// Halves of the last dimension: [T,h,d] -> [T,h,d/2] twice.
std::pair<at::Tensor, at::Tensor> halves(const at::Tensor& x) {
  const int64_t half = x.size(-1) / 2;
  return {x.narrow(-1, 0, half), x.narrow(-1, half, half)};
}

at::Tensor rotate_by(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  at::Tensor y = at::empty_like(x, at::MemoryFormat::Contiguous);
  const auto [x1, x2] = halves(x);
  auto [y1, y2] = halves(y);
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);  // [T,1,d/2]
  at::mul_out(y1, x1, c).addcmul_(x2, s, -1);
  at::mul_out(y2, x2, c).addcmul_(x1, s);
  return y;
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  at::Tensor y, rstd, w;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor wide = x.to(statistics_type(x));
    w = weight.detach().to(x.scalar_type());
    rstd = at::rsqrt(wide.square().mean(-1, true).add_(eps));  // [T,1]
    y = at::mul(wide, rstd).to(x.scalar_type()).mul_(w);
  }
  // With n = x·rstd and g = dy·w:  dx = rstd·(g − n·mean(g·n)),  dw = Σ_t dy·n.
  auto backward = [x = x.detach(), w, rstd, type = weight.scalar_type()](const at::Tensor& dy,
                                                                         const std::vector<bool>& needs) {
    at::Tensor dx, dw;
    const at::Tensor normed = x.to(rstd.scalar_type()).mul(rstd);
    const at::Tensor dy_wide = dy.to(rstd.scalar_type());
    if (needs[1]) dw = at::mul(dy_wide, normed).sum(0).to(type);
    if (needs[0]) {
      at::Tensor g = at::mul(dy_wide, w.to(rstd.scalar_type()));
      const at::Tensor mean = at::mul(g, normed).mean(-1, true);  // [T,1]
      dx = g.addcmul_(normed, mean, -1).mul_(rstd).to(x.scalar_type());
    }
    return std::vector<at::Tensor>{dx, dw};
  };
  return attach_backward("RmsNorm", y, {x, weight}, std::move(backward));
}

at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up) {
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = at::silu(gate).mul_(up);
  }
  auto backward = [gate = gate.detach(), up = up.detach()](const at::Tensor& dy, const std::vector<bool>&) {
    return std::vector<at::Tensor>{at::silu_backward(at::mul(dy, up), gate), at::silu(gate).mul_(dy)};
  };
  return attach_backward("SiluMul", y, {gate, up}, std::move(backward));
}

at::Tensor rotate_half(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = rotate_by(x, cos, sin);
  }
  // The inverse of a rotation turns the other way. (YaRN's attention factor scales cos and sin: the transpose
  // is meant.)
  return attach_backward("RotateHalf", y, {x}, [cos, sin](const at::Tensor& dy, const std::vector<bool>&) {
    return std::vector<at::Tensor>{rotate_by(dy, cos, sin.neg())};
  });
}

}  // namespace excitor
