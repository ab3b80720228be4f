#include <excitor/tensor/matmul.h>

#include <exception>
#include <optional>
#include <string_view>

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

namespace excitor {
namespace {

/// mkldnn::_linear_pointwise, the operator that torch.compile emits for linears: X Wᵀ (+ B) by oneDNN on
/// dense tensors.
using LinearPointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                   std::string_view, c10::List<std::optional<at::Scalar>>,
                                   std::optional<std::string_view>);

/// The operator, or nothing where LibTorch was built without oneDNN.
const std::optional<c10::TypedOperatorHandle<LinearPointwise>>& onednn_linear() {
  static const auto kOperator = [] {
    const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    using Handle = c10::TypedOperatorHandle<LinearPointwise>;
    return found ? std::optional<Handle>(found->typed<LinearPointwise>()) : std::nullopt;
  }();
  return kOperator;
}

at::Tensor onednn_matmul_nt(const at::Tensor& a, const at::Tensor& b) {
  return onednn_linear()->call(a, b, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(),
                               std::nullopt);
}

}  // namespace

bool onednn_multiplies(at::ScalarType type) {
  if (!onednn_linear().has_value()) return false;
  try {
    const at::Tensor ones = at::ones({2, 2}, type);
    onednn_matmul_nt(ones, ones);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

namespace {

/// fp16 stays with at::mm: oneDNN has fast products of it on few CPUs. One row alone is a matrix-vector
/// product, which the BLAS does as fast and with less overhead.
bool takes_onednn(const at::Tensor& a) {
  static const bool kFloat32 = onednn_multiplies(at::kFloat);
  static const bool kBFloat16 = onednn_multiplies(at::kBFloat16);
  const auto type = a.scalar_type();
  const bool known = (type == at::kFloat && kFloat32) || (type == at::kBFloat16 && kBFloat16);
  return known && a.device().is_cpu() && a.size(0) > 1;
}

}  // namespace

at::Tensor matmul_nt(const at::Tensor& a, const at::Tensor& b) {
  if (!takes_onednn(a)) return at::mm(a, b.t());
  return onednn_matmul_nt(a, b);
}

at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x, at::ScalarType type) {
  const bool half = x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
  if (x.is_cuda()) {
    return half && type == at::kFloat ? at::mm(dy.t(), x, at::kFloat) : at::mm(dy.t(), x).to(type);
  }
  // oneDNN is slow on a product of few columns: its transpose runs at 318 GFLOP/s where it does 37.
  const bool is_tall = dy.size(1) > x.size(1);
  return (is_tall ? matmul_nn(x.t(), dy).t() : matmul_nn(dy.t(), x)).to(type);
}

at::Tensor add_matmul_nt(at::Tensor c, const at::Tensor& a, const at::Tensor& b) {
  if (!takes_onednn(a)) return c.addmm_(a, b.t());
  return c.add_(matmul_nt(a, b));
}

}  // namespace excitor
