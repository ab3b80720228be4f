#include <excitor/vision/clip_tower.h>

#include <stdexcept>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sigmoid.h>
#include <fmt/format.h>

namespace excitor {
namespace {

/// x σ(1.702 x), in x's memory: OpenAI's approximation of GELU.
at::Tensor quick_gelu(at::Tensor x) {
  return x.mul_(at::mul(x, 1.702).sigmoid_());
}

/// A linear over the last dimension: [N,T,in] -> [N,T,out].
at::Tensor over_tokens(const Linear& linear, const at::Tensor& x) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = linear.out_features();
  return linear.apply(x.reshape({-1, linear.in_features()})).view(sizes);
}

}  // namespace

ClipTower::ClipTower(ClipVisionConfig config, ClipWeights weights, at::ScalarType type, bool has_projection)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      type_(type),
      has_projection_(has_projection) {}

void ClipTower::move_to(at::Device device) {
  const auto move_tensor = [device](at::Tensor& tensor) { tensor = tensor.to(device); };
  const auto move_norm = [&](LayerNormWeights& norm) {
    move_tensor(norm.weight);
    move_tensor(norm.bias);
  };
  const auto move_linear = [device](Linear& linear) {
    const at::Tensor bias = linear.bias();
    linear = Linear::dense(linear.weight().to(device), bias.defined() ? bias.to(device) : bias);
  };
  move_linear(weights_.patch_embedding);
  move_tensor(weights_.class_embedding);
  move_tensor(weights_.position_embedding);
  for (LayerNormWeights* norm : {&weights_.pre_norm, &weights_.post_norm}) move_norm(*norm);
  for (ClipBlockWeights& block : weights_.blocks) {
    for (LayerNormWeights* norm : {&block.norm1, &block.norm2}) move_norm(*norm);
    for (Linear* linear : {&block.q, &block.k, &block.v, &block.out, &block.fc1, &block.fc2})
      move_linear(*linear);
  }
  if (has_projection_) move_linear(weights_.projection);
}

at::Tensor ClipTower::norm(const at::Tensor& x, const LayerNormWeights& weights) const {
  return at::layer_norm(x, {config_.hidden_size}, weights.weight, weights.bias, config_.layer_norm_eps);
}

at::Tensor ClipTower::embed(const at::Tensor& pixels) const {
  const int64_t images = pixels.size(0), side = config_.image_size, p = config_.patch_size, g = side / p;
  if (pixels.dim() != 4 || pixels.size(1) != 3 || pixels.size(2) != side || pixels.size(3) != side)
    throw std::logic_error(fmt::format("a tower of {0}×{0} pixels was given other images", side));
  // The convolution's stride is its width, so it is a product over the pixels of each patch.
  const at::Tensor patches = pixels.to(type_)
                                 .slice(2, 0, g * p)
                                 .slice(3, 0, g * p)
                                 .reshape({images, 3, g, p, g, p})
                                 .permute({0, 2, 4, 1, 3, 5})
                                 .reshape({images, g * g, 3 * p * p});
  const at::Tensor first = weights_.class_embedding.expand({images, 1, config_.hidden_size});
  const at::Tensor tokens = at::cat({first, over_tokens(weights_.patch_embedding, patches)}, 1);  // [N,T,W]
  return norm(tokens.add_(weights_.position_embedding), weights_.pre_norm);
}

at::Tensor ClipTower::attend(const at::Tensor& x, const ClipBlockWeights& block) const {
  const auto heads = [&](const Linear& linear) {  // [N,T,W] -> [N,H,T,d]
    return over_tokens(linear, x)
        .view({x.size(0), x.size(1), config_.num_attention_heads, config_.head_width()})
        .transpose(1, 2);
  };
  const at::Tensor attended =
      at::scaled_dot_product_attention(heads(block.q), heads(block.k), heads(block.v));
  return over_tokens(block.out, attended.transpose(1, 2).reshape(x.sizes()));
}

at::Tensor ClipTower::feed_forward(const at::Tensor& x, const ClipBlockWeights& block) const {
  at::Tensor inner = over_tokens(block.fc1, x);  // [N,T,F]
  inner = config_.hidden_act == "gelu" ? at::gelu(inner) : quick_gelu(std::move(inner));
  return over_tokens(block.fc2, inner);
}

std::vector<at::Tensor> ClipTower::hidden_states(const at::Tensor& pixels,
                                                 const std::vector<int64_t>& layers) const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> wanted;
  at::Tensor x = embed(pixels);  // [N,T,W]
  size_t next = 0;
  for (int64_t layer = 0; next < layers.size(); ++layer) {
    if (layers[next] < layer || layers[next] > config_.num_hidden_layers)
      throw std::logic_error(fmt::format("a tower of {} layers has no layer {}, or the layers do not ascend",
                                         config_.num_hidden_layers, layers[next]));
    if (layers[next] == layer) wanted.push_back(x), ++next;
    if (next == layers.size()) break;
    const ClipBlockWeights& block = weights_.blocks[layer];
    x = at::add(x, attend(norm(x, block.norm1), block));
    x.add_(feed_forward(norm(x, block.norm2), block));
  }
  return wanted;
}

at::Tensor ClipTower::last_hidden_state(const at::Tensor& pixels) const {
  return hidden_states(pixels, {config_.num_hidden_layers}).front();
}

at::Tensor ClipTower::post_norm(const at::Tensor& states) const {
  const at::NoGradGuard no_grad;
  return norm(states, weights_.post_norm);
}

at::Tensor ClipTower::project(const at::Tensor& normed) const {
  if (!has_projection_) throw std::logic_error("this tower has no projection");
  const at::NoGradGuard no_grad;
  return over_tokens(weights_.projection, normed);
}

}  // namespace excitor
