// Frozen linears and LoRA (arXiv 2106.09685).
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mul.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>
#include <excitor/tensor/matmul.h>

namespace excitor {

at::Tensor frozen_linear(const Linear& linear, const at::Tensor& x) {
  at::Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = linear.apply(x);
  }
  return attach_backward("FrozenLinear", y, {x}, [linear](const at::Tensor& dy, const std::vector<bool>&) {
    return std::vector<at::Tensor>{linear.apply_transposed(dy)};
  });
}

at::Tensor trainable_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor y, w;
  {
    const at::NoGradGuard no_grad;
    w = weight.detach().to(x.scalar_type());  // [out,in]
    y = matmul_nt(x, w);
    if (bias.defined()) y.add_(bias);
  }
  auto backward = [x = x.detach(), w, type = weight.scalar_type()](const at::Tensor& dy,
                                                                   const std::vector<bool>& needs) {
    at::Tensor dx, dw, db;
    if (needs[0]) dx = matmul_nn(dy, w);
    if (needs[1]) dw = matmul_nn(dy.t(), x).to(type);
    if (needs[2]) db = dy.sum(0, /*keepdim=*/false, type);
    return std::vector<at::Tensor>{dx, dw, db};
  };
  return attach_backward("TrainableLinear", y, {x, weight, bias}, std::move(backward));
}

at::Tensor lora_linear(const Linear& linear, const at::Tensor& x, const LoraTerm& term) {
  const double scale = term.scale;
  const auto mask = term.mask;
  at::Tensor y, a, b, ax;
  {
    const at::NoGradGuard no_grad;
    a = term.a.detach().to(x.scalar_type());                       // [r,in]
    b = term.b.detach().to(x.scalar_type());                       // [out,r]
    ax = matmul_nt(mask ? at::mul(x, mask()) : x, a).mul_(scale);  // [T,r]
    y = add_matmul_nt(linear.apply(x), ax, b);
  }
  const auto parameter_type = term.a.scalar_type();
  // ax carries the scale already, and so does the gradient that goes on through A.
  auto backward = [linear, x = x.detach(), a, b, ax, scale, mask, parameter_type](
                      const at::Tensor& dy, const std::vector<bool>& needs) {
    at::Tensor dx, da, db;
    const at::Tensor dax = matmul_nn(dy, b).mul_(scale);  // [T,r]
    const at::Tensor m = mask ? mask() : at::Tensor();
    if (needs[0]) {
      dx = linear.apply_transposed(dy);
      dx = mask ? dx.addcmul_(matmul_nn(dax, a), m) : add_matmul_nt(dx, dax, a.t());
    }
    if (needs[1]) da = matmul_nn(dax.t(), mask ? at::mul(x, m) : x).to(parameter_type);
    if (needs[2]) db = matmul_nn(ax.t(), dy).t().to(parameter_type);  // oneDNN is slow on dyᵀ ax itself
    return std::vector<at::Tensor>{dx, da, db};
  };
  return attach_backward("LoraLinear", y, {x, term.a, term.b}, std::move(backward));
}

}  // namespace excitor
