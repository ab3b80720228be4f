#include <excitor/methods/vision_origin.h>

#include <fmt/format.h>

#include <excitor/methods/adapter_files.h>
#include <excitor/tensor/dtype.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// The folder to open, with what to do where there is none.
std::string tower_folder(const VisionOrigin& recorded, const fs::path& adapter_folder,
                         const TowerChoice& choice) {
  const std::string& folder = choice.folder.empty() ? recorded.path : choice.folder;
  if (folder.empty()) {
    throw ConfigError(
        fmt::format("{}: does not say which vision tower it was trained with; give its folder "
                    "with --vision DIR",
                    adapter_folder.string()));
  }
  if (choice.folder.empty() && !fs::is_directory(folder)) {
    throw ConfigError(
        fmt::format("{}: the vision tower that it was trained with is not at {}; give its "
                    "folder with --vision DIR",
                    adapter_folder.string(), folder));
  }
  return folder;
}

void check_same_tower(const ImageEncoder& encoder, const VisionOrigin& recorded, const std::string& folder,
                      bool force) {
  if (recorded.fingerprint.empty() || recorded.fingerprint == encoder.tower_fingerprint()) return;
  const std::string message =
      fmt::format("{}: is another vision tower than the adapter's (recorded {:.12}…, this one {:.12}…)",
                  folder, recorded.fingerprint, encoder.tower_fingerprint());
  if (!force) throw CheckpointError(message + "; give the right one, or --force to use it all the same");
  log::warning(message);
}

}  // namespace

void VisionOrigin::describe(Describer& d) {
  d.field("path", path, "Folder of the vision tower.");
  d.field("fingerprint", fingerprint, "Hash of the tower's weights.");
  d.field("dtype", dtype, "Type that the tower computed in.");
  d.field("features", features, "What of the tower's states the features are.");
  d.field("layers", layers, "Layers of the tower that they come from, from 0 (its input).");
  d.field("preprocessing", preprocessing, "As preprocessor_config.json says it.");
  d.choice("image_channels", image_channels, channel_order_words(),
           "Order of the channels that the tower was shown.");
  d.field("caption_instruction", caption_instruction, "What was asked about images with captions.");
}

VisionOrigin record_of(const ImageEncoder& encoder, const std::string& folder,
                       const std::string& caption_instruction) {
  return {.path = folder,
          .fingerprint = encoder.tower_fingerprint(),
          .dtype = dtype_name(encoder.type()),
          .features = feature_kind_name(encoder.kind()),
          .layers = encoder.layers(),
          .preprocessing = encoder.preprocessing().json(),
          .image_channels = encoder.preprocessing().channels,
          .caption_instruction = caption_instruction};
}

ImageEncoder open_adapter_encoder(const LoadedAdapter& adapter, const fs::path& adapter_folder,
                                  const TowerChoice& choice) {
  VisualSettings* visual = adapter.method->visual();
  if (visual == nullptr || !visual->is_set()) {
    throw ConfigError(
        fmt::format("{}: has no visual side (it was trained on texts alone), so no image can be "
                    "shown to it; train one with a `vision` section and data with images",
                    adapter_folder.string()));
  }
  const VisionOrigin recorded = adapter.origin.vision.value_or(VisionOrigin{});
  const std::string folder = tower_folder(recorded, adapter_folder, choice);
  EncoderOptions options{.type = parse_dtype(recorded.dtype),
                         .channels = recorded.image_channels,
                         .features = adapter.method->visual_features()};
  if (!recorded.preprocessing.is_null()) options.preprocessing = recorded.preprocessing;
  ImageEncoder encoder = open_image_encoder(folder, options);
  visual->see(encoder, folder);
  check_same_tower(encoder, recorded, folder, choice.force);
  return encoder;
}

}  // namespace excitor
