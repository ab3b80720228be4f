// The arithmetic of merging.
#pragma once

#include <ATen/core/Tensor.h>

#include <excitor/interchange/adapter_terms.h>

namespace excitor {

/// s_out ⊙ (W + lora_scale · B A) ⊙ s_in in fp32, cast to the type of `weight` [out,in].
at::Tensor merged_weight(const at::Tensor& weight, const LinearTerms& terms);

/// s_out ⊙ (b_0 + b) in fp32. `bias` [out] may be undefined: zero. Undefined when there is neither.
at::Tensor merged_bias(const at::Tensor& bias, const LinearTerms& terms);

}  // namespace excitor
