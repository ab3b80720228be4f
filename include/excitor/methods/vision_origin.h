// The visual side that an adapter was trained with: the object "vision" of its adapter_config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/describe.h>
#include <excitor/vision/image_encoder.h>

namespace excitor {

struct LoadedAdapter;

/// What is asked of a captioner unless a configuration says otherwise (as in Adapter V2's release).
inline constexpr const char* kCaptionInstruction = "Generate caption of this image";

/// Tower, preprocessing and instruction. Empty: an imported file does not say it, and it is not checked.
struct VisionOrigin {
  std::string path;         ///< the tower's folder
  std::string fingerprint;  ///< LoadedTower::fingerprint
  std::string dtype = "float32";
  std::string features;          ///< feature_kind_name()
  std::vector<int64_t> layers;   ///< of the tower, from 0
  Json preprocessing = nullptr;  ///< Preprocessing::json(); null: the folder's own
  ChannelOrder image_channels = ChannelOrder::rgb;
  std::string caption_instruction = kCaptionInstruction;

  void describe(Describer& d);
};

/// The record of `encoder`, whose tower lies in `folder`.
VisionOrigin record_of(const ImageEncoder& encoder, const std::string& folder,
                       const std::string& caption_instruction);

/// Which tower an adapter is used with.
struct TowerChoice {
  std::string folder = {};  ///< the option --vision; empty: the folder that the adapter names
  bool force = false;       ///< another tower than it was trained with: a warning instead of an error
};

/// The tower as `adapter`, read from `adapter_folder`, was trained with it: type, layers, preprocessing and
/// channels are the recorded ones. Throws ConfigError: an adapter without a visual side, one that names no
/// tower or a folder that is not there while `choice` gives none, a tower of another shape than the
/// adapter's projection; CheckpointError: another tower without `force`; else as open_image_encoder().
ImageEncoder open_adapter_encoder(const LoadedAdapter& adapter, const std::filesystem::path& adapter_folder,
                                  const TowerChoice& choice);

}  // namespace excitor
