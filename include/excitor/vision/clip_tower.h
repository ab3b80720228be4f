// CLIP's vision transformer, frozen (arXiv 2103.00020, section 2.4). N images, T tokens an image (the class
// token first), W width, P width of the projection, S side of an image.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/tensor/linear.h>
#include <excitor/vision/clip_config.h>

namespace excitor {

struct LayerNormWeights {
  at::Tensor weight;  // [W]
  at::Tensor bias;    // [W]
};

struct ClipBlockWeights {
  LayerNormWeights norm1, norm2;
  Linear q, k, v, out;  // [W,W]
  Linear fc1, fc2;      // [F,W], [W,F]
};

struct ClipWeights {
  Linear patch_embedding;         // [W, 3·p·p]
  at::Tensor class_embedding;     // [W]
  at::Tensor position_embedding;  // [T,W]
  LayerNormWeights pre_norm;
  std::vector<ClipBlockWeights> blocks;
  LayerNormWeights post_norm;
  Linear projection;  // [P,W]; not set where the folder has none
};

/// Nothing here knows autograd: call it as you like, no graph is made.
class ClipTower {
 public:
  ClipTower(ClipVisionConfig config, ClipWeights weights, at::ScalarType type, bool has_projection);

  const ClipVisionConfig& config() const { return config_; }
  at::ScalarType type() const { return type_; }  ///< of weights and activations
  at::Device device() const { return weights_.class_embedding.device(); }
  /// The weights go to `device`, which sees images from now on.
  void move_to(at::Device device);
  bool has_projection() const { return has_projection_; }
  int64_t projection_width() const { return weights_.projection.out_features(); }  ///< P

  /// The states after each of `layers` (ascending; 0: before the first block, L: the last one's, as
  /// transformers' hidden_states), [N,T,W] each. Blocks above the highest layer are not run. pixels [N,3,S,S]
  /// of any floating type, on the tower's device.
  std::vector<at::Tensor> hidden_states(const at::Tensor& pixels, const std::vector<int64_t>& layers) const;
  /// The states after the last block, before the last norm: transformers' last_hidden_state. [N,T,W]
  at::Tensor last_hidden_state(const at::Tensor& pixels) const;

  /// The last norm of class tokens or of any others: [...,W]. Of the class token it is transformers'
  /// pooler_output.
  at::Tensor post_norm(const at::Tensor& states) const;
  /// The projection into the space that CLIP shares with texts: [...,W] -> [...,P]. Throws std::logic_error
  /// where there is none.
  at::Tensor project(const at::Tensor& normed) const;

 private:
  at::Tensor embed(const at::Tensor& pixels) const;
  at::Tensor norm(const at::Tensor& x, const LayerNormWeights& weights) const;
  at::Tensor attend(const at::Tensor& x, const ClipBlockWeights& block) const;
  at::Tensor feed_forward(const at::Tensor& x, const ClipBlockWeights& block) const;

  ClipVisionConfig config_;
  ClipWeights weights_;
  at::ScalarType type_;
  bool has_projection_;
};

struct LoadedTower {
  ClipTower tower;
  /// A hash of names, shapes, types and samples of the content; it stands in adapters and cache keys.
  std::string fingerprint;
};

/// Reads the tower of a Hugging Face folder: a CLIPVisionModel (with or without "vision_model." before the
/// names), a CLIPVisionModelWithProjection, or a whole CLIPModel; model.safetensors, pytorch_model.bin, or
/// their shards. Throws ConfigError as read_clip_config(), CheckpointError (missing, wrong shape, no floating
/// type, damaged files), naming all tensors at fault.
LoadedTower load_clip_tower(const std::filesystem::path& folder, at::ScalarType type);

}  // namespace excitor
