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

std::vector<at::Tensor> LayerBypass::project_all(std::span<const Projection> sites,
                                                 const LayerWeights& weights, const at::Tensor& x,
                                                 const Step& step) const {
  std::vector<at::Tensor> outputs;
  for (const Projection site : sites) outputs.push_back(project(site, weights.linear(site), x, step));
  return outputs;
}

std::vector<at::Tensor> frozen_projections(std::span<const Projection> sites, const LayerWeights& weights,
                                           const at::Tensor& x) {
  std::vector<LinearSite> linears;
  for (const Projection site : sites) linears.push_back({.linear = weights.linear(site)});
  return joint_linears(linears, x);
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
