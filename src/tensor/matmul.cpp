#include <excitor/tensor/matmul.h>

#include <optional>
#include <string_view>

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/mm.h>

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

/// One row alone is a matrix-vector product, which the BLAS does as fast and with less overhead.
bool takes_onednn(const at::Tensor& a) {
  const auto type = a.scalar_type();
  const bool known = type == at::kFloat || type == at::kBFloat16;  // oneDNN has no fp16 products on most CPUs
  return known && a.device().is_cpu() && a.size(0) > 1 && onednn_linear().has_value();
}

}  // namespace

at::Tensor matmul_nt(const at::Tensor& a, const at::Tensor& b) {
  if (!takes_onednn(a)) return at::mm(a, b.t());
  return onednn_linear()->call(a, b, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(),
                               std::nullopt);
}

at::Tensor add_matmul_nt(at::Tensor c, const at::Tensor& a, const at::Tensor& b) {
  if (!takes_onednn(a)) return c.addmm_(a, b.t());
  return c.add_(matmul_nt(a, b));
}

}  // namespace excitor
