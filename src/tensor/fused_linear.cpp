// Frozen linears and LoRA (arXiv 2106.09685).
#include <algorithm>
#include <optional>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/zeros.h>

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
    if (needs[1]) dw = weight_gradient(dy, x, type);
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
    if (needs[1]) da = weight_gradient(dax, mask ? at::mul(x, m) : x, parameter_type);
    if (needs[2]) db = weight_gradient(dy, ax, parameter_type);
    return std::vector<at::Tensor>{dx, da, db};
  };
  return attach_backward("LoraLinear", y, {x, term.a, term.b}, std::move(backward));
}

namespace {

/// What several LoRA linears of one x make together: their A's are one matrix [R,in], R the sum of the ranks.
class JointLora {
 public:
  JointLora(const std::vector<LinearSite>& sites, const at::Tensor& x) : x_(x.detach()) {
    std::vector<at::Tensor> a;
    for (const LinearSite& site : sites) {
      linears_.push_back(site.linear);
      scales_.push_back(site.term.scale);
      ranks_.push_back(site.term.a.defined() ? site.term.a.size(0) : 0);
      if (!site.term.a.defined()) {
        b_.emplace_back();
        continue;
      }
      parameter_type_ = site.term.a.scalar_type();
      a.push_back(site.term.a.detach());
      b_.push_back(site.term.b.detach().to(x.scalar_type()));
    }
    if (!a.empty()) a_ = at::cat(a, 0).to(x.scalar_type());
  }

  std::vector<at::Tensor> forward() {
    if (a_.defined()) ax_ = scaled(matmul_nt(x_, a_));
    std::vector<at::Tensor> outputs;
    for (size_t i = 0; i < linears_.size(); ++i) {
      at::Tensor y = linears_[i].apply(x_);  // [T,out]
      outputs.push_back(ranks_[i] > 0 ? add_matmul_nt(std::move(y), columns(ax_, i), b_[i]) : y);
    }
    if (!a_.defined()) x_.reset();  // the gradient of frozen projections needs none
    return outputs;
  }

  /// {dx, da of each site, db of each site}; undefined where there is none.
  std::vector<at::Tensor> backward(const std::vector<at::Tensor>& grads, bool needs_x) const {
    const size_t sites = linears_.size();
    std::vector<at::Tensor> result(1 + 2 * sites);
    if (needs_x) {
      for (size_t i = 0; i < sites; ++i) {
        if (!grads[i].defined()) continue;
        result[0] = result[0].defined() ? linears_[i].add_transposed(std::move(result[0]), grads[i])
                                        : linears_[i].apply_transposed(grads[i]);
      }
    }
    if (!a_.defined()) return result;
    const at::Tensor dax = hidden_gradient(grads);  // [T,R]
    if (needs_x) result[0] = add_matmul_nt(std::move(result[0]), dax, a_.t());
    const at::Tensor da = weight_gradient(dax, x_, parameter_type_);  // [R,in]
    for (size_t i = 0, row = 0; i < sites; row += static_cast<size_t>(ranks_[i]), ++i) {
      if (ranks_[i] == 0 || !grads[i].defined()) continue;
      result[1 + i] = da.narrow(0, static_cast<int64_t>(row), ranks_[i]);
      result[1 + sites + i] = weight_gradient(grads[i], columns(ax_, i), parameter_type_);
    }
    return result;
  }

 private:
  /// Site i's columns of [T,R].
  at::Tensor columns(const at::Tensor& all, size_t i) const {
    int64_t begin = 0;
    for (size_t before = 0; before < i; ++before) begin += ranks_[before];
    return all.narrow(1, begin, ranks_[i]);
  }

  /// [T,R] with each site's columns times its scale, in place.
  at::Tensor scaled(at::Tensor all) const {
    if (std::ranges::all_of(scales_, [&](double scale) { return scale == scales_[0]; }))
      return all.mul_(scales_[0]);
    for (size_t i = 0; i < ranks_.size(); ++i)
      if (ranks_[i] > 0) columns(all, i).mul_(scales_[i]);
    return all;
  }

  /// The gradient of A x, scaled: [T,R].
  at::Tensor hidden_gradient(const std::vector<at::Tensor>& grads) const {
    std::vector<at::Tensor> parts;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      if (ranks_[i] == 0) continue;
      parts.push_back(grads[i].defined() ? matmul_nn(grads[i], b_[i])
                                         : at::zeros({x_.size(0), ranks_[i]}, x_.options()));
    }
    return scaled(parts.size() == 1 ? parts[0] : at::cat(parts, 1));
  }

  at::Tensor x_;  // [T,in]
  std::vector<Linear> linears_;
  std::vector<double> scales_;
  std::vector<int64_t> ranks_;  // 0: no LoRA there
  std::vector<at::Tensor> b_;   // [out,r]
  at::Tensor a_;                // [R,in]
  at::Tensor ax_;               // [T,R], scaled
  at::ScalarType parameter_type_ = at::kFloat;
};

}  // namespace

std::vector<at::Tensor> joint_linears(const std::vector<LinearSite>& sites, const at::Tensor& x) {
  std::vector<at::Tensor> outputs, inputs{x};
  std::optional<JointLora> joint;
  {
    const at::NoGradGuard no_grad;
    joint.emplace(sites, x);
    outputs = joint->forward();
  }
  for (const LinearSite& site : sites) inputs.push_back(site.term.a);
  for (const LinearSite& site : sites) inputs.push_back(site.term.b);
  return attach_joint_backward(
      "JointLinears", std::move(outputs), inputs,
      [joint = std::move(*joint)](const std::vector<at::Tensor>& grads, const std::vector<bool>& needs) {
        return joint.backward(grads, needs[0]);
      });
}

}  // namespace excitor
