#include <excitor/tensor/matmul.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string_view>

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
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

/// Some columns of a wider matrix as `b` would go through oneDNN's reference code, a thousand times slower.
at::Tensor onednn_matmul_nt(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor dense = b.is_non_overlapping_and_dense() ? b : b.contiguous();
  return onednn_linear()->call(a, dense, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(),
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

/// One row alone is a matrix-vector product, which the BLAS does as fast and with less overhead.
bool is_product(const at::Tensor& a) {
  return a.device().is_cpu() && a.size(0) > 1;
}

bool takes_onednn(const at::Tensor& a) {
  static const bool kFloat32 = onednn_multiplies(at::kFloat);
  static const bool kBFloat16 = onednn_multiplies(at::kBFloat16);
  const auto type = a.scalar_type();
  const bool known = (type == at::kFloat && kFloat32) || (type == at::kBFloat16 && kBFloat16);
  return known && is_product(a);
}

/// fp16, which oneDNN multiplies fast on few CPUs, and bf16 where it has no product of it.
bool goes_through_fp32(const at::Tensor& a) {
  const auto type = a.scalar_type();
  return (type == at::kBFloat16 || type == at::kHalf) && is_product(a);
}

/// a bᵀ in fp32, some rows of b at a time, so that no second copy of a large weight is made. On 2 cores with
/// AVX2 at::mm multiplies bf16 at 8 GFLOP/s, and at far less with transposed operands; this at 80.
at::Tensor matmul_through_fp32(const at::Tensor& a, const at::Tensor& b) {
  constexpr int64_t kElements = int64_t{4} << 20;
  const at::Tensor wide = a.to(at::kFloat);
  at::Tensor result = at::empty({a.size(0), b.size(0)}, a.options());
  const int64_t rows = std::max<int64_t>(1, kElements / std::max<int64_t>(1, b.size(1)));
  for (int64_t begin = 0; begin < b.size(0); begin += rows) {
    const int64_t count = std::min(rows, b.size(0) - begin);
    result.narrow(1, begin, count).copy_(matmul_nt(wide, b.narrow(0, begin, count).to(at::kFloat)));
  }
  return result;
}

}  // namespace

at::Tensor matmul_nt(const at::Tensor& a, const at::Tensor& b) {
  if (takes_onednn(a)) return onednn_matmul_nt(a, b);
  return goes_through_fp32(a) ? matmul_through_fp32(a, b) : at::mm(a, b.t());
}

at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x, at::ScalarType type) {
  const bool half = x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
  if (x.is_cuda()) {
    return half && type == at::kFloat ? at::mm(dy.t(), x, at::kFloat) : at::mm(dy.t(), x).to(type);
  }
  // oneDNN is slow on a product of few columns: its transpose runs at 318 GFLOP/s where it does 37. With more
  // columns there is nothing to gain, and the transpose would have to be copied.
  constexpr int64_t kFewColumns = 256;
  const bool has_few = x.size(1) <= kFewColumns && x.size(1) < dy.size(1);
  return (has_few ? matmul_nn(x.t(), dy).t() : matmul_nn(dy.t(), x)).to(type);
}

at::Tensor add_matmul_nt(at::Tensor c, const at::Tensor& a, const at::Tensor& b) {
  const bool product_is_faster = takes_onednn(a) || goes_through_fp32(a);
  return product_is_faster ? c.add_(matmul_nt(a, b)) : c.addmm_(a, b.t());
}

}  // namespace excitor
