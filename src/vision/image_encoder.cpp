#include <excitor/vision/image_encoder.h>

#include <algorithm>

#include <ATen/ops/cat.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/device_copy.h>
#include <excitor/tensor/dtype.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

/// Changed whenever the same key would give other features.
constexpr int kEncodingVersion = 1;

/// The layers as numbers from 0, ascending.
std::vector<int64_t> resolve_layers(const std::vector<int64_t>& layers, int64_t count) {
  if (layers.empty()) return {count};
  std::vector<int64_t> resolved;
  for (const int64_t layer : layers) {
    const int64_t number = layer < 0 ? count + 1 + layer : layer;
    if (number < 0 || number > count) {
      throw ConfigError(
          fmt::format("the vision tower has no layer {}: it has {}, counted from 1 (0: its "
                      "input; −1: the last)",
                      layer, count));
    }
    resolved.push_back(number);
  }
  std::sort(resolved.begin(), resolved.end());
  if (std::adjacent_find(resolved.begin(), resolved.end()) != resolved.end())
    throw ConfigError(fmt::format("layers of the vision tower stand twice in [{}]", fmt::join(layers, ", ")));
  return resolved;
}

}  // namespace

const char* feature_kind_name(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::tokens:
      return "tokens";
    case FeatureKind::class_tokens:
      return "class_tokens";
    case FeatureKind::projected_tokens:
      return "projected_tokens";
  }
  return "";
}

ImageEncoder::ImageEncoder(LoadedTower tower, Preprocessing how, const FeatureSettings& settings)
    : loaded_(std::move(tower)),
      how_(std::move(how)),
      kind_(settings.kind),
      layers_(resolve_layers(settings.layers, loaded_.tower.config().num_hidden_layers)) {
  if (kind_ != FeatureKind::class_tokens && layers_.size() != 1) {
    throw ConfigError(
        fmt::format("features of kind \"{}\" are those of one layer of the vision tower, not of {}",
                    feature_kind_name(kind_), layers_.size()));
  }
  if (kind_ == FeatureKind::projected_tokens && !loaded_.tower.has_projection()) {
    throw ConfigError(
        "the vision tower has no visual_projection.weight: take a folder of a CLIPVisionModelWithProjection "
        "or "
        "of a whole CLIPModel");
  }
}

int64_t ImageEncoder::rows() const {
  return kind_ == FeatureKind::class_tokens ? static_cast<int64_t>(layers_.size())
                                            : loaded_.tower.config().tokens();
}

int64_t ImageEncoder::width() const {
  return kind_ == FeatureKind::projected_tokens ? loaded_.tower.projection_width()
                                                : loaded_.tower.config().hidden_size;
}

Json ImageEncoder::key() const {
  Json key = {{"version", kEncodingVersion},          {"tower", loaded_.fingerprint},
              {"dtype", dtype_name(type())},          {"preprocessing", how_.json()},
              {"features", feature_kind_name(kind_)}, {"layers", layers_}};
  if (how_.channels == ChannelOrder::bgr) key["image_channels"] = "bgr";
  if (!device().is_cpu()) key["device"] = "gpu";  // which rounds otherwise than a CPU
  return key;
}

at::Tensor ImageEncoder::encode(const at::Tensor& pixels) const {
  const ClipTower& tower = loaded_.tower;
  const at::Tensor image = copy_to_device(pixels, device()).unsqueeze(0);  // [1,3,S,S]
  const auto states = tower.hidden_states(image, layers_);                 // [1,T,W] each
  if (kind_ == FeatureKind::class_tokens) {
    std::vector<at::Tensor> first;
    for (const at::Tensor& state : states) first.push_back(state.select(1, 0));  // [1,W]
    return at::cat(first, 0).cpu();
  }
  at::Tensor tokens = states.front();
  if (kind_ == FeatureKind::projected_tokens) tokens = tower.project(tower.post_norm(tokens));
  return tokens.squeeze(0).contiguous().cpu();
}

ImageEncoder open_image_encoder(const std::filesystem::path& folder, const EncoderOptions& options) {
  const int64_t image_size = read_clip_config(folder).image_size;
  Preprocessing how =
      options.preprocessing
          ? Preprocessing::from_json(*options.preprocessing, "the recorded preprocessing", image_size)
          : read_preprocessing(folder, image_size);
  how.channels = options.channels;
  how.check_fits(image_size, folder);
  return ImageEncoder(load_clip_tower(folder, options.type), std::move(how), options.features);
}

}  // namespace excitor
