// Attention on a GPU, through operators of ATen that exist for CUDA alone and are reached without its
// headers.
#pragma once

#include <ATen/core/Tensor.h>

#include <excitor/tensor/segments.h>

namespace excitor {

/// Whether flash_attention() computes with such queries: bf16 or fp16 on a GPU, heads of up to 256 in steps
/// of 8.
bool takes_flash(const at::Tensor& q);

/// causal_attention() of all segments in one variable-length call: no scores in memory, grouped keys as they
/// are.
at::Tensor flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const Segments& segments);

/// cached_attention() by the operator that chooses for itself. `mask` [T,S] is added to the scores;
/// undefined: none, then `is_causal` says whether T = S tokens see those before them alone. q [T,H,d], k and
/// v [S,G,d] -> [T,H,d].
at::Tensor dispatched_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                const std::optional<at::Tensor>& mask, bool is_causal);

}  // namespace excitor
