// The two orders that the rows of a rotated head come in. Hugging Face rotates the pairs (j, j + d/2) of a
// head, Meta and GGUF the pairs (2j, 2j + 1), so row h·d + t·d/2 + j of the one is row h·d + 2j + t of the
// other, t in {0, 1}. Only what makes queries and keys is affected: rows of their weights, biases and LoRA B.
// Prompts, gates and what stands on the input side are the same in both.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <excitor/model/bypass.h>
#include <excitor/model/llama_config.h>

namespace excitor {

/// Rows in Hugging Face's order -> Meta's. `rows` is [heads·d] or [heads·d,n]; d is even. A copy.
at::Tensor rotary_rows_to_meta(const at::Tensor& rows, int64_t heads);
/// The inverse.
at::Tensor rotary_rows_to_hugging_face(const at::Tensor& rows, int64_t heads);

/// Heads whose rows a projection makes and RoPE rotates: H of q, G of k, 0 of all others.
int64_t rotated_heads(const LlamaConfig& model, Projection site);

}  // namespace excitor
