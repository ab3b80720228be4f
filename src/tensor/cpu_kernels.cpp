// Compiled once for each instruction set, with EXCITOR_KERNELS the name of its table. Loops are written for
// the compiler's vectoriser; reductions may be reordered by it, in one way for each instruction set.
#include "cpu_kernels.h"

namespace excitor::cpu {
namespace {

#define EXCITOR_INLINE [[gnu::always_inline]] inline

struct BFloat16 {
  uint16_t bits;
};

EXCITOR_INLINE float widen(float x) {
  return x;
}
EXCITOR_INLINE float widen(BFloat16 x) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16);
}

template <class T>
T narrow(float x);
template <>
EXCITOR_INLINE float narrow<float>(float x) {
  return x;
}
/// To the nearest, ties to even; NaN stays one.
template <>
EXCITOR_INLINE BFloat16 narrow<BFloat16>(float x) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return {static_cast<uint16_t>(x != x ? 0x7fc0u : rounded)};
}

/// eˣ within 2 units in the last place for |x| ≤ 86; beyond, what it is there, so that 1 / (1 + eˣ) and
/// e^(x − max) keep their sense. NaN stays one.
EXCITOR_INLINE float exponential(float x) {
  constexpr float kMost = 86;
  x = x > kMost ? kMost : x;
  x = x < -kMost ? -kMost : x;
  // x = n·ln 2 + r with n whole: adding 1.5·2²³ rounds to a whole number, which then stands in the low bits.
  constexpr float kRound = 12582912.0f;
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts, the first exact times n
  // eʳ = 1 + r + r²·P(r): P interpolated in Chebyshev's points of |r| ≤ ln 2 / 2, 1e-8 off.
  float p = 0.00139336884f;
  p = p * r + 0.00836320547f;
  p = p * r + 0.0416664646f;
  p = p * r + 0.166665768f;
  p = p * r + 0.5f;
  const float power = r * r * p + r + 1;
  return power * __builtin_bit_cast(float, (__builtin_bit_cast(uint32_t, shifted) << 23) + 0x3f800000u);
}

EXCITOR_INLINE float sigmoid(float x) {
  return 1 / (1 + exponential(-x));
}

template <class T>
void rms_norm_of(const RmsNorm& a, int64_t begin, int64_t end) {
  const T* const weight = static_cast<const T*>(a.weight);
  for (int64_t row = begin; row < end; ++row) {
    const T* const x = static_cast<const T*>(a.x) + row * a.width;
    T* const y = static_cast<T*>(a.y) + row * a.width;
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < a.width; ++i) squares += widen(x[i]) * widen(x[i]);
    const float rstd = 1 / __builtin_sqrtf(squares / static_cast<float>(a.width) + a.eps);
    a.rstd[row] = rstd;
#pragma omp simd
    for (int64_t i = 0; i < a.width; ++i)
      y[i] = narrow<T>(widen(narrow<T>(widen(x[i]) * rstd)) * widen(weight[i]));
  }
}

/// With n = x·rstd and g = dy·w:  dx = rstd·(g − n·mean(g·n)).
template <class T>
void rms_norm_backward_of(const RmsNormBackward& a, int64_t begin, int64_t end) {
  const T* const weight = static_cast<const T*>(a.weight);
  for (int64_t row = begin; row < end; ++row) {
    const T* const dy = static_cast<const T*>(a.dy) + row * a.width;
    const T* const x = static_cast<const T*>(a.x) + row * a.width;
    T* const dx = static_cast<T*>(a.dx) + row * a.width;
    const float rstd = a.rstd[row];
    float products = 0;
#pragma omp simd reduction(+ : products)
    for (int64_t i = 0; i < a.width; ++i) products += widen(dy[i]) * widen(weight[i]) * (widen(x[i]) * rstd);
    const float mean = products / static_cast<float>(a.width);
#pragma omp simd
    for (int64_t i = 0; i < a.width; ++i) {
      const float g = widen(dy[i]) * widen(weight[i]);
      dx[i] = narrow<T>((g - widen(x[i]) * rstd * mean) * rstd);
    }
  }
}

template <class T>
void silu_mul_of(const SiluMul& a, int64_t begin, int64_t end) {
  const T* const gate = static_cast<const T*>(a.gate);
  const T* const up = static_cast<const T*>(a.up);
  T* const y = static_cast<T*>(a.y);
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float g = widen(gate[i]);
    y[i] = narrow<T>(g * sigmoid(g) * widen(up[i]));
  }
}

template <class T>
void silu_mul_backward_of(const SiluMulBackward& a, int64_t begin, int64_t end) {
  const T* const dy = static_cast<const T*>(a.dy);
  const T* const gate = static_cast<const T*>(a.gate);
  const T* const up = static_cast<const T*>(a.up);
  T* const dgate = static_cast<T*>(a.dgate);
  T* const dup = static_cast<T*>(a.dup);
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float d = widen(dy[i]), g = widen(gate[i]), u = widen(up[i]);
    const float s = sigmoid(g);
    dgate[i] = narrow<T>(d * u * s * (1 + g * (1 - s)));
    dup[i] = narrow<T>(d * g * s);
  }
}

template <class T>
void rotate_half_of(const Rotation& a, int64_t begin, int64_t end) {
  const int64_t half = a.width / 2;
  for (int64_t token = begin; token < end; ++token) {
    const T* const cos = static_cast<const T*>(a.cos) + token * half;
    const T* const sin = static_cast<const T*>(a.sin) + token * half;
    for (int64_t head = 0; head < a.heads; ++head) {
      const T* const x = static_cast<const T*>(a.x) + token * a.token_stride + head * a.head_stride;
      T* const y = static_cast<T*>(a.y) + (token * a.heads + head) * a.width;
#pragma omp simd
      for (int64_t i = 0; i < half; ++i) {
        const float u = widen(x[i]), v = widen(x[i + half]), c = widen(cos[i]), s = widen(sin[i]);
        y[i] = narrow<T>(u * c - v * s);
        y[i + half] = narrow<T>(v * c + u * s);
      }
    }
  }
}

template <class T>
EXCITOR_INLINE float largest_of(const T* x, int64_t n) {
  float top = widen(x[0]);
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < n; ++i) top = top < widen(x[i]) ? widen(x[i]) : top;
  return top;
}

template <class T>
void cross_entropy_of(const CrossEntropy& a, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    T* const logits = static_cast<T*>(a.logits) + row * a.vocabulary;
    const int64_t target = a.targets[row];
    const float top = largest_of(logits, a.vocabulary), chosen = widen(logits[target]);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < a.vocabulary; ++i) sum += exponential(widen(logits[i]) - top);
    a.losses[row] = top - chosen + __builtin_logf(sum);
    if (!a.has_grad) continue;
    const float scale = a.weight / sum;
    const float of_target = scale * exponential(chosen - top) - a.weight;
#pragma omp simd
    for (int64_t i = 0; i < a.vocabulary; ++i)
      logits[i] = narrow<T>(scale * exponential(widen(logits[i]) - top));
    logits[target] = narrow<T>(of_target);
  }
}

void causal_softmax(const CausalSoftmax& a, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    float* const scores = a.scores + row * a.n;
    const int64_t seen = a.n - a.block + row % a.block + 1;
    const float top = largest_of(scores, seen);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < seen; ++i) {
      scores[i] = exponential(scores[i] - top);
      sum += scores[i];
    }
    const float scale = 1 / sum;
#pragma omp simd
    for (int64_t i = 0; i < seen; ++i) scores[i] *= scale;
    for (int64_t i = seen; i < a.n; ++i) scores[i] = 0;
  }
}

void causal_softmax_backward(const CausalSoftmaxBackward& a, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const float* const p = a.p + row * a.n;
    float* const dp = a.dp + row * a.n;
    const int64_t seen = a.n - a.block + row % a.block + 1;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < seen; ++i) sum += p[i] * dp[i];
#pragma omp simd
    for (int64_t i = 0; i < seen; ++i) dp[i] = p[i] * (dp[i] - sum);
    for (int64_t i = seen; i < a.n; ++i) dp[i] = 0;
  }
}

/// The instance of a template for the type that it is called with.
template <auto kFloat, auto kBFloat16, class Arguments>
void of_type(Scalar type, const Arguments& arguments, int64_t begin, int64_t end) {
  (type == Scalar::float32 ? kFloat : kBFloat16)(arguments, begin, end);
}

}  // namespace

extern const Kernels EXCITOR_KERNELS;
const Kernels EXCITOR_KERNELS = {
    .rms_norm = of_type<rms_norm_of<float>, rms_norm_of<BFloat16>, RmsNorm>,
    .rms_norm_backward =
        of_type<rms_norm_backward_of<float>, rms_norm_backward_of<BFloat16>, RmsNormBackward>,
    .silu_mul = of_type<silu_mul_of<float>, silu_mul_of<BFloat16>, SiluMul>,
    .silu_mul_backward =
        of_type<silu_mul_backward_of<float>, silu_mul_backward_of<BFloat16>, SiluMulBackward>,
    .rotate_half = of_type<rotate_half_of<float>, rotate_half_of<BFloat16>, Rotation>,
    .cross_entropy = of_type<cross_entropy_of<float>, cross_entropy_of<BFloat16>, CrossEntropy>,
    .causal_softmax = causal_softmax,
    .causal_softmax_backward = causal_softmax_backward,
};

}  // namespace excitor::cpu
