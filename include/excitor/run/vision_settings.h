// The section `vision` of a configuration.
#pragma once

#include <optional>
#include <string>

#include <excitor/util/describe.h>
#include <excitor/util/settings.h>
#include <excitor/vision/preprocessing.h>

namespace excitor {

struct RunConfig;

/// The frozen tower that sees the images.
struct VisionSettings {
  std::string path;            ///< its folder
  bool cache = true;           ///< features lie in data.cache_dir, so that the tower sees each image once
  std::string dtype = "auto";  ///< of the tower; auto: model.dtype where that is given, else float32
  ChannelOrder image_channels = ChannelOrder::rgb;
  std::optional<RandomCrop> random_resized_crop;  ///< augmentation; turns the cache off
  void describe(Describer& d);
};

/// Adds what can't be about images: data with images without a tower, a method that sees none, folders given
/// where there are no images and the other way round. Files and folders that are not there go to `missing`.
void check_vision(const RunConfig& config, Problems& problems, Problems& missing);

}  // namespace excitor
