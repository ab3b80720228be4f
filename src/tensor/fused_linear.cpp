// Frozen linears and LoRA (arXiv 2106.09685).
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>

#include <excitor/tensor/autograd.h>
#include <excitor/tensor/fused.h>

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

at::Tensor lora_linear(const Linear& linear, const at::Tensor& x, const LoraTerm& term) {
  const double scale = term.scale;
  const auto mask = term.mask;
  at::Tensor y, a, b, ax;
  {
    const at::NoGradGuard no_grad;
    a = term.a.detach().to(x.scalar_type());  // [r,in]
    b = term.b.detach().to(x.scalar_type());  // [out,r]
    ax = at::mm(mask ? at::mul(x, mask()) : x, a.t());  // [T,r]
    y = linear.apply(x);
    y.addmm_(ax, b.t(), 1, scale);
  }
  const auto parameter_type = term.a.scalar_type();
  auto backward = [linear, x = x.detach(), a, b, ax, scale, mask, parameter_type](
                      const at::Tensor& dy, const std::vector<bool>& needs) {
    at::Tensor dx, da, db;
    const at::Tensor dax = at::mm(dy, b).mul_(scale);  // [T,r]
    const at::Tensor m = mask ? mask() : at::Tensor();
    if (needs[0]) {
      dx = linear.apply_transposed(dy);
      if (mask) dx.addcmul_(at::mm(dax, a), m);
      else dx.addmm_(dax, a);
    }
    if (needs[1]) da = at::mm(dax.t(), mask ? at::mul(x, m) : x).to(parameter_type);
    if (needs[2]) db = at::mm(dy.t(), ax).mul_(scale).to(parameter_type);
    return std::vector<at::Tensor>{dx, da, db};
  };
  return attach_backward("LoraLinear", y, {x, term.a, term.b}, std::move(backward));
}

}  // namespace excitor
