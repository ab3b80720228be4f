#include <excitor/model/bypass.h>

#include <excitor/tensor/fused.h>

namespace excitor {

const char* projection_name(Projection site) {
  static constexpr const char* kNames[kProjections] = {
      "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
      "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  return kNames[static_cast<int>(site)];
}

const char* norm_name(NormSite site) {
  return site == NormSite::input ? "input_layernorm" : "post_attention_layernorm";
}

at::Tensor LayerBypass::project(Projection, const Linear& frozen, const at::Tensor& x, const Step&) const {
  return frozen_linear(frozen, x);
}

at::Tensor LayerBypass::norm_weight(NormSite, const at::Tensor& frozen) const {
  return frozen;
}

at::Tensor LayerBypass::keys(const at::Tensor&, const at::Tensor& k, const Step& step) const {
  return step.rotary(k);
}

at::Tensor LayerBypass::attended(const LayerWeights&, const at::Tensor&, const at::Tensor& attended,
                                 const Step&) const {
  return attended;
}

const LayerBypass& ModelBypass::layer(int64_t) const {
  static const LayerBypass kFrozen;
  return kFrozen;
}

}  // namespace excitor
