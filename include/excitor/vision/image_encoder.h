// What a method sees of an image: states of a frozen CLIP tower.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/util/json.h>
#include <excitor/vision/clip_tower.h>
#include <excitor/vision/preprocessing.h>

namespace excitor {

enum class FeatureKind {
  tokens,        ///< every token of one layer [T,W] (Excitor)
  class_tokens,  ///< the class token of each layer [layers,W] (Adapter: global features of several layers)
  projected_tokens,  ///< every token of one layer through the last norm and the projection [T,P] (Adapter V2)
};
/// "tokens", "class_tokens", "projected_tokens"
const char* feature_kind_name(FeatureKind kind);

struct FeatureSettings {
  FeatureKind kind = FeatureKind::tokens;
  /// As ClipTower::hidden_states() counts; negative ones from the end (−1: the last block's). Empty: the
  /// last.
  std::vector<int64_t> layers;
};

/// An image to a matrix of features, one image at a time: what comes out is then a function of the image and
/// the kind of device alone, whatever batch it was in, so a cached run equals one without a cache bit for
/// bit.
class ImageEncoder {
 public:
  /// Throws ConfigError: a layer that the tower does not have, more than one for kinds of one layer, a
  /// projection that the tower does not have.
  ImageEncoder(LoadedTower tower, Preprocessing how, const FeatureSettings& settings);

  int64_t rows() const;
  int64_t width() const;
  at::ScalarType type() const { return loaded_.tower.type(); }
  const Preprocessing& preprocessing() const { return how_; }
  FeatureKind kind() const { return kind_; }
  const std::vector<int64_t>& layers() const { return layers_; }  ///< ascending, from 0
  const std::string& tower_fingerprint() const { return loaded_.fingerprint; }
  at::Device device() const { return loaded_.tower.device(); }
  /// The tower computes on `device` from now on (after construction on the CPU).
  void move_to(at::Device device) { loaded_.tower.move_to(device); }
  /// All that features depend on besides the image.
  Json key() const;

  /// pixels [3,S,S] -> [rows,width] in the tower's type, both on the CPU.
  at::Tensor encode(const at::Tensor& pixels) const;

 private:
  LoadedTower loaded_;
  Preprocessing how_;
  FeatureKind kind_;
  std::vector<int64_t> layers_;
};

/// How a tower is opened.
struct EncoderOptions {
  at::ScalarType type = at::kFloat;  ///< of the tower's weights and activations
  ChannelOrder channels = ChannelOrder::rgb;
  std::optional<Json> preprocessing = {};  ///< as Preprocessing::json() wrote it, instead of the folder's own
  FeatureSettings features = {};
};

/// Tower and preprocessing of a folder. Throws as load_clip_tower() and read_preprocessing(), and
/// CheckpointError where the two do not fit each other.
ImageEncoder open_image_encoder(const std::filesystem::path& folder, const EncoderOptions& options);

}  // namespace excitor
