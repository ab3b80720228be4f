// RMSNorm, SwiGLU and rotary position embedding: the operators joined to autograd.
#include <ATen/core/grad_mode.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>

#include "device_operators.h"

namespace excitor {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  at::Tensor y, rstd;
  {
    const at::NoGradGuard no_grad;
    std::tie(y, rstd) = operators::rms_norm(x, weight, eps);
  }
  auto backward = [x = x.detach(), weight = weight.detach(), rstd](const at::Tensor& dy,
                                                                   const std::vector<bool>& needs) {
    auto [dx, dw] = operators::rms_norm_backward(dy, x, weight, rstd, {needs[0], needs[1]});
    return std::vector<at::Tensor>{dx, dw};
  };
  return attach_backward("RmsNorm", y, {x, weight}, std::move(backward));
}

at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up) {
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = operators::silu_mul(gate, up);
  }
  auto backward = [gate = gate.detach(), up = up.detach()](const at::Tensor& dy, const std::vector<bool>&) {
    auto [dgate, dup] = operators::silu_mul_backward(dy, gate, up);
    return std::vector<at::Tensor>{dgate, dup};
  };
  return attach_backward("SiluMul", y, {gate, up}, std::move(backward));
}

at::Tensor rotate_half(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = operators::rotate_half(x, cos, sin);
  }
  // The inverse of a rotation turns the other way. (YaRN's attention factor scales cos and sin: the transpose
  // is meant.)
  return attach_backward("RotateHalf", y, {x}, [cos, sin](const at::Tensor& dy, const std::vector<bool>&) {
    return std::vector<at::Tensor>{operators::rotate_half(dy, cos, sin.neg())};
  });
}

}  // namespace excitor
