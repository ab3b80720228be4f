// The operators of a decoder layer with hand-written backward passes, so that only what is needed is saved
// and computed. T tokens, H query heads, G key/value heads, d head width, r rank, R rows, D width, V
// vocabulary. Any floating type; statistics of norms, softmax and the loss are fp32 (fp64 for fp64).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/tensor/linear.h>
#include <excitor/tensor/segments.h>

namespace excitor {

/// y = W x + b of a frozen linear; only the gradient of x exists. x [T,in] -> [T,out].
at::Tensor frozen_linear(const Linear& linear, const at::Tensor& x);

/// y = W x + b with trainable W [out,in] and b [out] (or undefined) of any type, cast to x's. x [T,in] ->
/// [T,out].
at::Tensor trainable_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// The trainable part of a LoRA site. `mask` is what dropout multiplies x with (0 or 1/(1-p)), undefined
/// without dropout; it is made again in the backward pass instead of being kept.
struct LoraTerm {
  at::Tensor a;  ///< [r,in]
  at::Tensor b;  ///< [out,r]
  double scale = 1;
  std::function<at::Tensor()> mask = nullptr;
};

/// y = W x + b + scale · B A (mask ⊙ x)   (arXiv 2106.09685, eq. 3). Saves x and A x.
at::Tensor lora_linear(const Linear& linear, const at::Tensor& x, const LoraTerm& term);

/// One of several linears of the same x; without `term.a` it is frozen.
struct LinearSite {
  Linear linear;
  LoraTerm term = {};
};

/// lora_linear() or frozen_linear() of x for each site (masks are not taken): the A's are multiplied as one
/// matrix, and the gradients of x are added up where they are made. x [T,in] -> [T,out] each.
std::vector<at::Tensor> joint_linears(const std::vector<LinearSite>& sites, const at::Tensor& x);

/// x / sqrt(mean(x²) + eps) · weight: normalised in fp32, cast to x's type, then multiplied, as LLaMA does. x
/// [T,D], weight [D].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// silu(gate) ⊙ up, recomputed in the backward pass. [T,F]
at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up);

/// Rotates the pairs (j, j + d/2) of each head (the rotate-half layout of Hugging Face). x [T,h,d], cos and
/// sin [T,d/2].
at::Tensor rotate_half(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

/// softmax(q kᵀ/√d + causal) v within each segment; query head h reads key/value head h / (H/G).
/// q [T,H,d], k and v [T,G,d] -> [T,H,d].
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const Segments& segments);

/// softmax(q kᵀ/√d) v over prompts: every token sees all of them. Known to autograd. q [T,H,d], k and v
/// [K,G,d] -> [T,H,d].
at::Tensor prompt_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// Attention of the last T tokens of one sequence of S >= T tokens, for decoding. q [T,H,d], k and v [S,G,d]
/// -> [T,H,d]. No backward pass.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// The output layer as the loss needs it: frozen, or (method full) a trainable matrix [V,D] in its place.
struct OutputHead {
  Linear frozen;
  at::Tensor trainable = {};
};

struct CrossEntropyOptions {
  /// What the sum is multiplied with: 1 / label tokens of the global batch (times a loss scale for fp16).
  /// Gradients are multiplied while they are fp32.
  double weight = 1;
  int64_t chunk_rows = 256;  ///< logits exist for this many rows at a time only
};

/// weight · Σ_r −log softmax(head · hidden_r)[target_r], an fp32 scalar. Gradients are computed while a
/// chunk's logits are there, so there is no second pass, and no [R,V] tensor. hidden [R,D], targets [R]
/// int64.
at::Tensor cross_entropy(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& targets,
                         const CrossEntropyOptions& options);

}  // namespace excitor
