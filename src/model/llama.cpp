// The forward pass. T tokens, R wanted rows, D hidden width, H query heads, G key/value heads, d head width,
// F feed-forward width.
#include <excitor/model/llama.h>

#include <stdexcept>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>

#include <excitor/tensor/autograd.h>

namespace excitor {
namespace {

constexpr Projection kQueryKeyValue[] = {Projection::q, Projection::k, Projection::v};
constexpr Projection kGateUp[] = {Projection::gate, Projection::up};

const ModelBypass& bypass_of(const ForwardOptions& options) {
  static const ModelBypass kFrozen;
  return options.bypass ? *options.bypass : kFrozen;
}

std::vector<int64_t> cache_lengths(const Segments& segments, const KvCache* cache) {
  std::vector<int64_t> lengths(segments.count(), 0);
  for (int64_t i = 0; cache && i < segments.count(); ++i) lengths[i] = cache->length(i);
  return lengths;
}

/// Attention of segments that continue the cache's sequences. q [T,H,d], k and v [T,G,d] -> [T,H,d].
at::Tensor attend_with_cache(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const Segments& segments, KvCache& cache, int64_t layer) {
  std::vector<at::Tensor> parts(segments.count());
  for (int64_t i = 0; i < segments.count(); ++i) {
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, segments.begin(i), segments.length(i)); };
    const auto [keys, values] = cache.append(layer, i, part(k), part(v));
    parts[i] = cached_attention(part(q), keys, values);
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts, 0);
}

}  // namespace

Llama::Llama(LlamaConfig config, LlamaWeights weights, at::ScalarType activation_type)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      activation_type_(activation_type),
      rope_(config_.rope()) {}

at::Tensor Llama::hidden(const TokenBatch& batch, const ForwardOptions& options) const {
  const ModelBypass& bypass = bypass_of(options);
  const Step step = begin_pass(batch, options);
  at::Tensor x = bypass.embed(weights_.embedding, batch.ids).to(activation_type_);  // [T,D]
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const bool recompute = options.recompute_layers && any_requires_grad({x});
    x = recompute ? recomputed_layer(i, x, step, options) : decoder_layer(i, x, step, options);
  }
  for (int64_t i = 0; options.cache && i < batch.segments.count(); ++i) {
    options.cache->advance(i, batch.segments.length(i));
  }
  return rms_norm(x, bypass.final_norm(weights_.final_norm), config_.rms_norm_eps);  // [R,D]
}

Step Llama::begin_pass(const TokenBatch& batch, const ForwardOptions& options) const {
  Rotary rotary(rope_, config_.head_width(), batch.segments, cache_lengths(batch.segments, options.cache),
                weights_.final_norm.options().dtype(activation_type_));
  std::shared_ptr<const PassState> state = options.cache ? options.cache->pass_state : nullptr;
  if (!state) state = bypass_of(options).begin_pass(batch.segments, options.images);
  if (options.cache) options.cache->pass_state = state;
  return Step(batch.segments, std::move(rotary), options.noise, std::move(state));
}

at::Tensor Llama::decoder_layer(int64_t index, at::Tensor x, const Step& whole,
                                const ForwardOptions& options) const {
  const LayerBypass& bypass = bypass_of(options).layer(index);
  const auto weights = layer(index);
  at::Tensor attended = attention(index, x, whole, options);  // [T,H·d]
  const bool choose_rows = index + 1 == config_.num_hidden_layers && options.rows.defined();
  const Step step = choose_rows ? whole.with_rows(options.rows) : whole;
  if (choose_rows) {
    x = x.index_select(0, options.rows);                // [R,D]
    attended = attended.index_select(0, options.rows);  // [R,H·d]
  }
  x = at::add(x, bypass.project(Projection::o, weights->linear(Projection::o), attended, step));  // [R,D]

  const at::Tensor h = rms_norm(x, bypass.norm_weight(NormSite::post_attention, weights->post_attention_norm),
                                config_.rms_norm_eps);
  const auto gate_up = bypass.project_all(kGateUp, *weights, h, step);  // [R,F] each
  return at::add(x, bypass.project(Projection::down, weights->linear(Projection::down),
                                   silu_mul(gate_up[0], gate_up[1]), step));
}

at::Tensor Llama::recomputed_layer(int64_t index, const at::Tensor& x, const Step& step,
                                   const ForwardOptions& options) const {
  at::Tensor output;
  {
    const at::NoGradGuard no_grad;
    output = decoder_layer(index, x, step, options);
  }
  auto backward = [this, index, x = x.detach(), step, options](const at::Tensor& grad,
                                                               const std::vector<bool>&) {
    const at::AutoGradMode record(true);
    const at::Tensor input = x.detach().requires_grad_();
    // Accumulates into the parameters. What the layers read of an image has a graph that they share.
    run_backward(decoder_layer(index, input, step, options), grad, /*keep_graph=*/!options.images.empty());
    return std::vector<at::Tensor>{input.grad()};
  };
  return attach_backward("RecomputedLayer", output, {x}, std::move(backward));
}

at::Tensor Llama::attention(int64_t index, const at::Tensor& x, const Step& step,
                            const ForwardOptions& options) const {
  const LayerBypass& bypass = bypass_of(options).layer(index);
  const auto weights = layer(index);
  const at::Tensor h =
      rms_norm(x, bypass.norm_weight(NormSite::input, weights->input_norm), config_.rms_norm_eps);
  const auto projected = bypass.project_all(kQueryKeyValue, *weights, h, step);
  const auto heads = [&](size_t i, int64_t count) {
    return projected[i].view({-1, count, config_.head_width()});
  };
  const at::Tensor q = step.rotary(heads(0, config_.query_heads()));         // [T,H,d]
  const at::Tensor k = bypass.keys(h, heads(1, config_.key_heads()), step);  // [T,G,d]
  const at::Tensor v = heads(2, config_.key_heads());                        // [T,G,d]
  at::Tensor out = options.cache ? attend_with_cache(q, k, v, step.segments(), *options.cache, index)
                                 : causal_attention(q, k, v, step.segments());  // [T,H,d]
  out = bypass.attended(*weights, q, out, step);
  return out.view({-1, config_.query_width()});
}

OutputHead Llama::head(const ModelBypass* bypass) const {
  return {.frozen = weights_.head, .trainable = bypass ? bypass->trainable_head() : at::Tensor()};
}

at::Tensor Llama::logits(const at::Tensor& hidden, const ModelBypass* bypass) const {
  const OutputHead output = head(bypass);
  const at::Tensor y = output.trainable.defined() ? trainable_linear(hidden, output.trainable)
                                                  : frozen_linear(output.frozen, hidden);
  return y.scalar_type() == at::kDouble ? y : y.to(at::kFloat);
}

}  // namespace excitor
