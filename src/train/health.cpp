// T tokens, H query heads, G key heads, d head width.
#include <excitor/train/health.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>

namespace excitor {
namespace {

/// Causal attention probabilities of B queries, the last of n tokens: q [B,H,d], k [n,G,d] -> [H,B,n].
at::Tensor probabilities(const at::Tensor& q, const at::Tensor& k) {
  const int64_t queries = q.size(0), tokens = k.size(0), repeats = q.size(1) / k.size(1);
  const at::Tensor keys = k.repeat_interleave(repeats, 1).permute({1, 2, 0});  // [H,d,n]
  at::Tensor scores = at::matmul(q.transpose(0, 1), keys).to(at::kFloat) /
                      std::sqrt(static_cast<double>(q.size(2)));  // [H,B,n]
  const at::Tensor future =
      at::ones({queries, tokens}, scores.options().dtype(at::kBool)).triu(tokens - queries + 1);
  return at::softmax(scores.masked_fill_(future, -std::numeric_limits<double>::infinity()), -1);
}

/// ½ Σ |p' − p|, the mean over all tokens of a batch: [H].
at::Tensor moved_mass(const at::Tensor& q, const at::Tensor& frozen_keys, const at::Tensor& keys,
                      const Segments& segments) {
  constexpr int64_t kBlock = 128;  // queries at a time, so that no [H,T,T] exists
  at::Tensor sum = at::zeros({q.size(1)}, q.options().dtype(at::kFloat));
  if (at::equal(keys, frozen_keys)) return sum;  // a method that does not change them
  for (int64_t i = 0; i < segments.count(); ++i) {
    for (int64_t begin = 0; begin < segments.length(i); begin += kBlock) {
      const int64_t count = std::min(kBlock, segments.length(i) - begin);
      const at::Tensor queries = q.narrow(0, segments.begin(i) + begin, count);
      const auto seen = [&](const at::Tensor& k) { return k.narrow(0, segments.begin(i), begin + count); };
      const at::Tensor change =
          probabilities(queries, seen(keys)) - probabilities(queries, seen(frozen_keys));  // [H,B,n]
      sum += change.abs().sum({1, 2}).mul_(0.5);
    }
  }
  return sum / segments.tokens();
}

/// Asks the layer's own hooks and looks at what they return.
class ProbedLayer : public LayerBypass {
 public:
  ProbedLayer(const LayerBypass& layer, AttentionHealth& health) : layer_(layer), health_(health) {}

  at::Tensor project(Projection site, const Linear& frozen, const at::Tensor& x,
                     const Step& step) const override {
    return layer_.project(site, frozen, x, step);
  }
  std::vector<at::Tensor> project_all(std::span<const Projection> sites, const LayerWeights& weights,
                                      const at::Tensor& x, const Step& step) const override {
    return layer_.project_all(sites, weights, x, step);
  }
  at::Tensor norm_weight(NormSite site, const at::Tensor& frozen) const override {
    return layer_.norm_weight(site, frozen);
  }
  at::Tensor keys(const at::Tensor& x, const at::Tensor& k, const Step& step) const override {
    frozen_keys_ = step.rotary(k);
    return keys_ = layer_.keys(x, k, step);
  }
  at::Tensor attended(const LayerWeights& weights, const at::Tensor& q, const at::Tensor& attended,
                      const Step& step) const override {
    const at::Tensor moved = moved_mass(q, frozen_keys_, keys_, step.segments()).cpu();
    health_.moved.assign(moved.const_data_ptr<float>(), moved.const_data_ptr<float>() + moved.numel());
    at::Tensor out = layer_.attended(weights, q, attended, step);
    health_.added = ((out - attended).norm() / attended.norm()).item<double>();
    frozen_keys_.reset(), keys_.reset();
    return out;
  }

 private:
  const LayerBypass& layer_;
  AttentionHealth& health_;
  mutable at::Tensor frozen_keys_, keys_;  // [T,G,d], between keys() and attended()
};

class ProbedBypass : public ModelBypass {
 public:
  ProbedBypass(const ModelBypass& bypass, int64_t layers, std::map<int64_t, AttentionHealth>& health)
      : bypass_(bypass) {
    for (int64_t i = 0; i < layers; ++i)
      layers_.push_back(std::make_unique<ProbedLayer>(bypass.layer(i), health[i]));
  }
  const LayerBypass& layer(int64_t index) const override { return *layers_[index]; }
  std::shared_ptr<const PassState> begin_pass(const Segments& segments,
                                              const SequenceImages& images) const override {
    return bypass_.begin_pass(segments, images);
  }
  at::Tensor embed(const Linear& frozen, const at::Tensor& ids) const override {
    return bypass_.embed(frozen, ids);
  }
  at::Tensor final_norm(const at::Tensor& frozen) const override { return bypass_.final_norm(frozen); }
  at::Tensor trainable_head() const override { return bypass_.trainable_head(); }

 private:
  const ModelBypass& bypass_;
  std::vector<std::unique_ptr<ProbedLayer>> layers_;
};

}  // namespace

std::map<int64_t, AttentionHealth> measure_attention(const Llama& model, const ModelBypass& bypass,
                                                     const TokenBatch& batch, const SequenceImages& images) {
  const at::NoGradGuard no_grad;
  std::map<int64_t, AttentionHealth> health;
  const ProbedBypass probed(bypass, model.config().num_hidden_layers, health);
  model.hidden(batch, {.bypass = &probed, .images = images});
  return health;
}

std::map<int64_t, std::vector<double>> gate_values(const ParameterSet& parameters) {
  std::map<int64_t, std::vector<double>> gates;
  constexpr std::string_view kLayers = ".layers.";
  for (const auto& [name, tensor] : parameters.entries()) {
    const size_t at = name.find(kLayers);
    if (!name.ends_with("gate") || at == std::string::npos) continue;
    int64_t layer = 0;
    std::from_chars(name.data() + at + kLayers.size(), name.data() + name.size(), layer);
    const at::Tensor values = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
    gates[layer].insert(gates[layer].end(), values.const_data_ptr<double>(),
                        values.const_data_ptr<double>() + values.numel());
  }
  return gates;
}

}  // namespace excitor
