// A block of threads takes a row (norms, loss) or the threads of the grid take the numbers one after another
// (SwiGLU, rotation); memory is read and written 16 bytes at a time where rows allow it. All arithmetic is
// fp32.
#include "kernels.h"

#include <algorithm>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace excitor::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;

__device__ float widen(float x) {
  return x;
}
__device__ float widen(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ float widen(__half x) {
  return __half2float(x);
}

template <class T>
__device__ T narrow(float x);
template <>
__device__ float narrow<float>(float x) {
  return x;
}
template <>
__device__ __nv_bfloat16 narrow<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __half narrow<__half>(float x) {
  return __float2half_rn(x);
}

/// N numbers that are read and written at once.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];
};

template <class T, int N>
__device__ Pack<T, N> load(const T* from, int64_t pack) {
  return reinterpret_cast<const Pack<T, N>*>(from)[pack];
}

template <class T, int N>
__device__ void store(T* to, int64_t pack, const Pack<T, N>& values) {
  reinterpret_cast<Pack<T, N>*>(to)[pack] = values;
}

/// Numbers of 16 bytes, or 1 where `width` is no multiple of them.
template <class T>
constexpr int kWholePack = 16 / sizeof(T);

/// The sum of all threads' values, in each of them.
__device__ float block_sum(float value) {
  __shared__ float of_warps[kThreads / kWarp];
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(kWholeWarp, value, offset);
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  __syncthreads();  // of_warps may still be read from the call before
  if (lane == 0) of_warps[warp] = value;
  __syncthreads();
  value = 0;
  for (int i = 0; i < kThreads / kWarp; ++i) value += of_warps[i];
  return value;
}

__device__ float block_max(float value) {
  __shared__ float of_warps[kThreads / kWarp];
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, offset));
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  __syncthreads();
  if (lane == 0) of_warps[warp] = value;
  __syncthreads();
  value = of_warps[0];
  for (int i = 1; i < kThreads / kWarp; ++i) value = fmaxf(value, of_warps[i]);
  return value;
}

template <class T, int N>
__global__ void rms_norm_kernel(RmsNorm a) {
  const int64_t row = blockIdx.x, packs = a.width / N;
  const T* const x = static_cast<const T*>(a.x) + row * a.width;
  T* const y = static_cast<T*>(a.y) + row * a.width;
  float squares = 0;
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    const auto values = load<T, N>(x, i);
    for (int j = 0; j < N; ++j) squares += widen(values.values[j]) * widen(values.values[j]);
  }
  const float rstd = rsqrtf(block_sum(squares) / static_cast<float>(a.width) + a.eps);
  if (threadIdx.x == 0) a.rstd[row] = rstd;
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    auto values = load<T, N>(x, i);
    const auto weight = load<T, N>(static_cast<const T*>(a.weight), i);
    for (int j = 0; j < N; ++j) {
      const float normed = widen(narrow<T>(widen(values.values[j]) * rstd));
      values.values[j] = narrow<T>(normed * widen(weight.values[j]));
    }
    store<T, N>(y, i, values);
  }
}

template <class T, int N>
__global__ void rms_norm_backward_kernel(RmsNormBackward a) {
  const int64_t row = blockIdx.x, packs = a.width / N;
  const T* const dy = static_cast<const T*>(a.dy) + row * a.width;
  const T* const x = static_cast<const T*>(a.x) + row * a.width;
  const T* const weight = static_cast<const T*>(a.weight);
  T* const dx = static_cast<T*>(a.dx) + row * a.width;
  const float rstd = a.rstd[row];
  float products = 0;  // Σ g·n
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    const auto d = load<T, N>(dy, i);
    const auto v = load<T, N>(x, i);
    const auto w = load<T, N>(weight, i);
    for (int j = 0; j < N; ++j)
      products += widen(d.values[j]) * widen(w.values[j]) * widen(v.values[j]) * rstd;
  }
  const float mean = block_sum(products) / static_cast<float>(a.width);
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    auto d = load<T, N>(dy, i);
    const auto v = load<T, N>(x, i);
    const auto w = load<T, N>(weight, i);
    for (int j = 0; j < N; ++j) {
      const float g = widen(d.values[j]) * widen(w.values[j]);
      d.values[j] = narrow<T>(rstd * (g - widen(v.values[j]) * rstd * mean));
    }
    store<T, N>(dx, i, d);
  }
}

__device__ float sigmoid(float x) {
  return 1.0f / (1.0f + __expf(-x));
}

template <class T, int N>
__global__ void silu_mul_kernel(SiluMul a) {
  const int64_t packs = a.count / N, stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < packs; i += stride) {
    auto gate = load<T, N>(static_cast<const T*>(a.gate), i);
    const auto up = load<T, N>(static_cast<const T*>(a.up), i);
    for (int j = 0; j < N; ++j) {
      const float g = widen(gate.values[j]);
      gate.values[j] = narrow<T>(g * sigmoid(g) * widen(up.values[j]));
    }
    store<T, N>(static_cast<T*>(a.y), i, gate);
  }
}

template <class T, int N>
__global__ void silu_mul_backward_kernel(SiluMulBackward a) {
  const int64_t packs = a.count / N, stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < packs; i += stride) {
    const auto dy = load<T, N>(static_cast<const T*>(a.dy), i);
    auto gate = load<T, N>(static_cast<const T*>(a.gate), i);
    auto up = load<T, N>(static_cast<const T*>(a.up), i);
    for (int j = 0; j < N; ++j) {
      const float d = widen(dy.values[j]), g = widen(gate.values[j]), u = widen(up.values[j]);
      const float s = sigmoid(g);
      gate.values[j] = narrow<T>(d * u * s * (1.0f + g * (1.0f - s)));
      up.values[j] = narrow<T>(d * g * s);
    }
    store<T, N>(static_cast<T*>(a.dgate), i, gate);
    store<T, N>(static_cast<T*>(a.dup), i, up);
  }
}

/// A thread takes N pairs of a head at a time.
template <class T, int N>
__global__ void rotate_kernel(Rotation a) {
  const int64_t half = a.width / 2, packs = half / N;  // of one half of a head
  const int64_t all = a.tokens * a.heads * packs, stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < all; i += stride) {
    const int64_t head = i / packs, pack = i % packs, token = head / a.heads;
    const T* const x = static_cast<const T*>(a.x) + head * a.width;
    T* const y = static_cast<T*>(a.y) + head * a.width;
    auto x1 = load<T, N>(x, pack), x2 = load<T, N>(x + half, pack);
    const auto cos = load<T, N>(static_cast<const T*>(a.cos) + token * half, pack);
    const auto sin = load<T, N>(static_cast<const T*>(a.sin) + token * half, pack);
    for (int j = 0; j < N; ++j) {
      const float u = widen(x1.values[j]), v = widen(x2.values[j]);
      const float c = widen(cos.values[j]), s = widen(sin.values[j]);
      x1.values[j] = narrow<T>(u * c - v * s);
      x2.values[j] = narrow<T>(v * c + u * s);
    }
    store<T, N>(y, pack, x1);
    store<T, N>(y + half, pack, x2);
  }
}

template <class T, int N>
__global__ void cross_entropy_kernel(CrossEntropy a) {
  const int64_t row = blockIdx.x, packs = a.vocabulary / N;
  const T* const logits = static_cast<const T*>(a.logits) + row * a.vocabulary;
  // One pass for the largest logit and the sum of exponentials: a thread rescales its sum when it meets a
  // larger one.
  float top = -INFINITY, sum = 0;
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    const auto values = load<T, N>(logits, i);
    float largest = widen(values.values[0]);
    for (int j = 1; j < N; ++j) largest = fmaxf(largest, widen(values.values[j]));
    if (largest > top) {
      sum *= __expf(top - largest);
      top = largest;
    }
    for (int j = 0; j < N; ++j) sum += __expf(widen(values.values[j]) - top);
  }
  const float whole_top = block_max(top);
  const float whole_sum = block_sum(top == -INFINITY ? 0.0f : sum * __expf(top - whole_top));
  const int64_t target = a.targets[row];
  if (threadIdx.x == 0) a.losses[row] = whole_top + logf(whole_sum) - widen(logits[target]);
  if (a.grad == nullptr) return;
  __syncthreads();  // the target's logit is read before it is overwritten
  T* const grad = static_cast<T*>(a.grad) + row * a.vocabulary;
  const float scale = a.weight / whole_sum;
  for (int64_t i = threadIdx.x; i < packs; i += kThreads) {
    auto values = load<T, N>(logits, i);
    for (int j = 0; j < N; ++j) {
      const float p = scale * __expf(widen(values.values[j]) - whole_top);
      values.values[j] = narrow<T>(i * N + j == target ? p - a.weight : p);
    }
    store<T, N>(grad, i, values);
  }
}

/// Blocks for `work` threads that go through a grid: enough for every multiprocessor of large GPUs.
unsigned blocks_for(int64_t work) {
  constexpr int64_t kMost = 132 * 16;
  return static_cast<unsigned>(std::clamp<int64_t>((work + kThreads - 1) / kThreads, 1, kMost));
}

/// Calls `launch.operator()<T, N>()` with the type of `type` and the widest pack that divides `width`.
template <class Launch>
cudaError_t with_type(Scalar type, int64_t width, const Launch& launch) {
  const auto of = [&]<class T>(T) {
    if (width % kWholePack<T> == 0)
      launch.template operator()<T, kWholePack<T>>();
    else
      launch.template operator()<T, 1>();
  };
  switch (type) {
    case Scalar::float32:
      of(float());
      break;
    case Scalar::bfloat16:
      of(__nv_bfloat16());
      break;
    case Scalar::float16:
      of(__half());
      break;
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t rms_norm(Scalar type, const RmsNorm& a, cudaStream_t stream) {
  return with_type(type, a.width, [&]<class T, int N>() {
    rms_norm_kernel<T, N><<<static_cast<unsigned>(a.tokens), kThreads, 0, stream>>>(a);
  });
}

cudaError_t rms_norm_backward(Scalar type, const RmsNormBackward& a, cudaStream_t stream) {
  return with_type(type, a.width, [&]<class T, int N>() {
    rms_norm_backward_kernel<T, N><<<static_cast<unsigned>(a.tokens), kThreads, 0, stream>>>(a);
  });
}

cudaError_t silu_mul(Scalar type, const SiluMul& a, cudaStream_t stream) {
  return with_type(type, a.count, [&]<class T, int N>() {
    silu_mul_kernel<T, N><<<blocks_for(a.count / N), kThreads, 0, stream>>>(a);
  });
}

cudaError_t silu_mul_backward(Scalar type, const SiluMulBackward& a, cudaStream_t stream) {
  return with_type(type, a.count, [&]<class T, int N>() {
    silu_mul_backward_kernel<T, N><<<blocks_for(a.count / N), kThreads, 0, stream>>>(a);
  });
}

cudaError_t rotate_half(Scalar type, const Rotation& a, cudaStream_t stream) {
  return with_type(type, a.width / 2, [&]<class T, int N>() {
    rotate_kernel<T, N><<<blocks_for(a.tokens * a.heads * a.width / 2 / N), kThreads, 0, stream>>>(a);
  });
}

cudaError_t cross_entropy(Scalar type, const CrossEntropy& a, cudaStream_t stream) {
  return with_type(type, a.vocabulary, [&]<class T, int N>() {
    cross_entropy_kernel<T, N><<<static_cast<unsigned>(a.rows), kThreads, 0, stream>>>(a);
  });
}

}  // namespace excitor::kernels
