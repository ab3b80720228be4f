// The operators of device_operators.h on plain memory, for CPUs: one source that is compiled for several
// instruction sets. Where plain ATen calls read and write memory three to seven times, these do so once or
// twice. All arithmetic is fp32.
//
// No ATen and nothing of the standard library here: inline functions of theirs, compiled for AVX-512, would
// be linked in the place of those that other sources use.
#pragma once

#include <cstdint>

namespace excitor::cpu {

enum class Scalar { float32, bfloat16 };

/// Rows of `width` numbers, one after another, of the type that is given with them; `rstd` is fp32.
struct RmsNorm {
  const void* x;
  const void* weight;
  void* y;
  float* rstd;
  int64_t width;
  float eps;
};
struct RmsNormBackward {
  const void* dy;
  const void* x;
  const void* weight;
  const float* rstd;
  void* dx;
  int64_t width;
};

struct SiluMul {
  const void* gate;
  const void* up;
  void* y;
};
struct SiluMulBackward {
  const void* dy;
  const void* gate;
  const void* up;
  void* dgate;
  void* dup;
};

/// x [T,heads,width] with strides in numbers, the last one 1; cos and sin [T,width/2]; y contiguous.
struct Rotation {
  const void* x;
  const void* cos;
  const void* sin;
  void* y;
  int64_t heads, width, token_stride, head_stride;
};

/// Rows of `vocabulary` logits. With `has_grad` they become weight · (softmax − one-hot).
struct CrossEntropy {
  void* logits;
  const int64_t* targets;
  float* losses;
  int64_t vocabulary;
  float weight;
  bool has_grad;
};

/// Rows of n scores, fp32, which become probabilities: row r sees n − block + r % block + 1 of them.
struct CausalSoftmax {
  float* scores;
  int64_t n, block;
};
/// dp becomes p ⊙ (dp − Σ p ⊙ dp); rows as above.
struct CausalSoftmaxBackward {
  const float* p;
  float* dp;
  int64_t n, block;
};

/// Rows, tokens or numbers [begin, end) of each.
struct Kernels {
  void (*rms_norm)(Scalar, const RmsNorm&, int64_t begin, int64_t end);
  void (*rms_norm_backward)(Scalar, const RmsNormBackward&, int64_t begin, int64_t end);
  void (*silu_mul)(Scalar, const SiluMul&, int64_t begin, int64_t end);
  void (*silu_mul_backward)(Scalar, const SiluMulBackward&, int64_t begin, int64_t end);
  void (*rotate_half)(Scalar, const Rotation&, int64_t begin, int64_t end);
  void (*cross_entropy)(Scalar, const CrossEntropy&, int64_t begin, int64_t end);
  void (*causal_softmax)(const CausalSoftmax&, int64_t begin, int64_t end);
  void (*causal_softmax_backward)(const CausalSoftmaxBackward&, int64_t begin, int64_t end);
};

extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;

}  // namespace excitor::cpu
