#include "merge.h"

#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mul.h>

namespace excitor {

at::Tensor merged_weight(const at::Tensor& weight, const LinearTerms& terms) {
  at::Tensor merged = weight.to(at::kFloat);  // [out,in]
  if (terms.has_lora())
    merged = at::addmm(merged, terms.lora_b, terms.lora_a, /*beta=*/1, /*alpha=*/terms.lora_scale);
  if (terms.input_scale.defined()) merged = at::mul(merged, terms.input_scale);
  if (terms.output_scale.defined()) merged = at::mul(merged, terms.output_scale.unsqueeze(1));
  return merged.to(weight.scalar_type());
}

at::Tensor merged_bias(const at::Tensor& bias, const LinearTerms& terms) {
  if (!bias.defined() && !terms.bias.defined()) return {};
  at::Tensor merged = bias.defined() ? bias.to(at::kFloat) : terms.bias;
  if (bias.defined() && terms.bias.defined()) merged = at::add(merged, terms.bias);
  return terms.output_scale.defined() ? at::mul(merged, terms.output_scale) : merged;
}

}  // namespace excitor
