// Kernels of our own, by plain pointers: no header of LibTorch, so nvcc compiles them in seconds.
// T tokens, D width, h heads, d head width, R rows, V vocabulary. Matrices are contiguous.
#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

namespace excitor::kernels {

enum class Scalar { float32, bfloat16, float16 };

/// y = x · rstd · weight, rounded to the type before the weight as LLaMA does; rstd = 1/√(mean(x²) + eps).
struct RmsNorm {
  const void* x;       // [T,D]
  const void* weight;  // [D]
  void* y;             // [T,D]
  float* rstd;         // [T]
  int64_t tokens, width;
  float eps;
};
cudaError_t rms_norm(Scalar type, const RmsNorm& arguments, cudaStream_t stream);

/// With n = x·rstd and g = dy·weight: dx = rstd·(g − n·mean(g·n)).
struct RmsNormBackward {
  const void* dy;      // [T,D]
  const void* x;       // [T,D]
  const void* weight;  // [D]
  const float* rstd;   // [T]
  void* dx;            // [T,D]
  int64_t tokens, width;
};
cudaError_t rms_norm_backward(Scalar type, const RmsNormBackward& arguments, cudaStream_t stream);

/// y = silu(gate) ⊙ up of n numbers.
struct SiluMul {
  const void* gate;
  const void* up;
  void* y;
  int64_t count;
};
cudaError_t silu_mul(Scalar type, const SiluMul& arguments, cudaStream_t stream);

struct SiluMulBackward {
  const void* dy;
  const void* gate;
  const void* up;
  void* dgate;
  void* dup;
  int64_t count;
};
cudaError_t silu_mul_backward(Scalar type, const SiluMulBackward& arguments, cudaStream_t stream);

/// Rotates the pairs (j, j + d/2) of each head.
struct Rotation {
  const void* x;    // [T,h,d]
  const void* cos;  // [T,d/2]
  const void* sin;  // [T,d/2]
  void* y;          // [T,h,d]
  int64_t tokens, heads, width;
};
cudaError_t rotate_half(Scalar type, const Rotation& arguments, cudaStream_t stream);

/// losses[r] = −log softmax(logits_r)[target_r]; where `grad` is not null, grad = weight · (softmax −
/// one-hot). `grad` may be `logits`.
struct CrossEntropy {
  const void* logits;      // [R,V]
  const int64_t* targets;  // [R]
  float* losses;           // [R]
  void* grad;              // [R,V] or null
  int64_t rows, vocabulary;
  float weight;
};
cudaError_t cross_entropy(Scalar type, const CrossEntropy& arguments, cudaStream_t stream);

}  // namespace excitor::kernels
