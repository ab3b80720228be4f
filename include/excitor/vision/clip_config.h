// The shape of a CLIP vision tower: config.json of Hugging Face.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <excitor/util/describe.h>
#include <excitor/util/settings.h>

namespace excitor {

/// Names and defaults are transformers' CLIPVisionConfig (ViT-B/32).
struct ClipVisionConfig {
  int64_t hidden_size = 768;  ///< W
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t num_channels = 3;
  int64_t image_size = 224;  ///< of a side, in pixels
  int64_t patch_size = 32;
  std::string hidden_act = "quick_gelu";  ///< or "gelu"
  double layer_norm_eps = 1e-5;

  void describe(Describer& d);
  /// Adds what can't be: heads that do not divide, patches larger than the image, an unknown activation.
  void check(Problems& problems) const;

  int64_t patches() const { return (image_size / patch_size) * (image_size / patch_size); }
  int64_t tokens() const { return patches() + 1; }  ///< T: the class token and the patches
  int64_t head_width() const { return hidden_size / num_attention_heads; }
};

/// Reads `folder`/config.json: of model_type "clip_vision_model", or the vision_config of a whole "clip".
/// Other keys are ignored. Throws ConfigError: no such folder, no config.json, no JSON, another model type,
/// an impossible shape; all faults at once.
ClipVisionConfig read_clip_config(const std::filesystem::path& folder);

}  // namespace excitor
