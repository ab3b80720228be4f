// A small random tower.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/linear.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/files.h>
#include <excitor/util/random.h>
#include <excitor/vision/image_encoder.h>

namespace excitor {

inline constexpr int64_t kTinyImage = 32;

inline at::Tensor random_weight(at::IntArrayRef shape, const std::string& name, uint64_t seed) {
  at::Tensor weight = at::empty(shape, at::kFloat);
  Random random(seed, stream_of(name));
  for (int64_t i = 0; i < weight.numel(); ++i)
    weight.data_ptr<float>()[i] = static_cast<float>(0.2 * random.normal());
  return weight;
}

/// Width 8, two blocks, 5 tokens, projection to 6.
inline LoadedTower tiny_tower(uint64_t seed = 0) {
  const ClipVisionConfig config{.hidden_size = 8,
                                .intermediate_size = 12,
                                .num_hidden_layers = 2,
                                .num_attention_heads = 2,
                                .image_size = kTinyImage,
                                .patch_size = 16};
  int64_t count = 0;
  const auto next = [&](at::IntArrayRef shape) {
    return random_weight(shape, std::to_string(count++), seed);
  };
  const auto linear = [&](int64_t out, int64_t in) { return Linear::dense(next({out, in}), next({out})); };
  const auto norm = [&] { return LayerNormWeights{.weight = next({8}).add_(1), .bias = next({8})}; };
  ClipWeights weights{.patch_embedding = Linear::dense(next({8, 3 * 16 * 16})),
                      .class_embedding = next({8}),
                      .position_embedding = next({5, 8}),
                      .pre_norm = norm(),
                      .blocks = {},
                      .post_norm = norm(),
                      .projection = Linear::dense(next({6, 8}))};
  for (int i = 0; i < 2; ++i) {
    weights.blocks.push_back({.norm1 = norm(),
                              .norm2 = norm(),
                              .q = linear(8, 8),
                              .k = linear(8, 8),
                              .v = linear(8, 8),
                              .out = linear(8, 8),
                              .fc1 = linear(12, 8),
                              .fc2 = linear(8, 12)});
  }
  return {.tower = ClipTower(config, std::move(weights), at::kFloat, true),
          .fingerprint = "tiny " + std::to_string(seed)};
}

inline ImageEncoder tiny_encoder(const FeatureSettings& settings = {}, uint64_t seed = 0) {
  return ImageEncoder(tiny_tower(seed), Preprocessing::clip(kTinyImage), settings);
}

/// A folder of such a tower, as Hugging Face writes it.
inline void write_tiny_tower(const std::filesystem::path& folder, uint64_t seed = 0, int64_t width = 8) {
  std::filesystem::create_directories(folder);
  const Json config = {{"model_type", "clip_vision_model"},
                       {"hidden_size", width},
                       {"intermediate_size", 12},
                       {"num_hidden_layers", 2},
                       {"num_attention_heads", 2},
                       {"image_size", kTinyImage},
                       {"patch_size", 16}};
  write_file_atomically(folder / "config.json", config.dump());
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& name, at::IntArrayRef shape) {
    tensors.push_back({name, random_weight(shape, name, seed)});
  };
  const auto add_linear = [&](const std::string& name, int64_t out, int64_t in) {
    add(name + ".weight", {out, in}), add(name + ".bias", {out});
  };
  const std::string root = "vision_model.";
  add(root + "embeddings.class_embedding", {width});
  add(root + "embeddings.patch_embedding.weight", {width, 3, 16, 16});
  add(root + "embeddings.position_embedding.weight", {5, width});
  for (const char* norm : {"pre_layrnorm", "post_layernorm"})
    add(root + norm + ".weight", {width}), add(root + norm + ".bias", {width});
  for (const char* layer : {"encoder.layers.0.", "encoder.layers.1."}) {
    for (const char* norm : {"layer_norm1", "layer_norm2"})
      add(root + layer + norm + ".weight", {width}), add(root + layer + norm + ".bias", {width});
    for (const char* site : {"q", "k", "v", "out"})
      add_linear(root + layer + "self_attn." + site + "_proj", width, width);
    add_linear(root + layer + "mlp.fc1", 12, width);
    add_linear(root + layer + "mlp.fc2", width, 12);
  }
  add("visual_projection.weight", {6, width});
  write_safetensors(folder / "model.safetensors", tensors);
}

}  // namespace excitor
