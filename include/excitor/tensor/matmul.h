// Matrix products without autograd, through the fastest operator for device and type.
#pragma once

#include <ATen/core/Tensor.h>

namespace excitor {

/// a bᵀ: a [n,k], b [m,k] -> [n,m], contiguous, in memory of its own. Both may be transposed views.
///
/// On a CPU in fp32 and bf16 this is oneDNN's product instead of the BLAS behind at::mm: measured on a Zen 5
/// core in fp32 210 GFLOP/s against 70–100 (MKL takes its AVX2 kernels there), and no slow path for
/// transposed bf16 operands.
at::Tensor matmul_nt(const at::Tensor& a, const at::Tensor& b);

/// Whether oneDNN multiplies this type on this CPU, found by trying: it has no bf16 products before AVX-512,
/// and says so only by an exception.
bool onednn_multiplies(at::ScalarType type);

/// a b: a [n,k], b [k,m] -> [n,m].
inline at::Tensor matmul_nn(const at::Tensor& a, const at::Tensor& b) {
  return matmul_nt(a, b.t());
}

/// c + a bᵀ in c's memory or in new memory, whichever is faster; `c` must not be used afterwards. c [n,m].
at::Tensor add_matmul_nt(at::Tensor c, const at::Tensor& a, const at::Tensor& b);

/// dyᵀ x in `type`, the gradient of a weight: dy [T,out], x [T,in] -> [out,in]. Added up in fp32 at least.
at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x, at::ScalarType type);

}  // namespace excitor
