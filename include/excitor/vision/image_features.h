// The features of a data set's images as training asks for them: out of the cache, or from the tower each
// time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/vision/feature_cache.h>
#include <excitor/vision/image_encoder.h>

namespace excitor {

/// Names the random crop of one use of an image: a function of both numbers alone.
struct CropDraw {
  uint64_t seed = 0;
  uint64_t stream = 0;
};

struct ImageFeaturesOptions {
  std::optional<std::filesystem::path> cache = {};  ///< its folder; absent: the tower sees an image each time
  std::optional<RandomCrop> random_crop = {};       ///< of images in training; goes without a cache
};

/// Features are the same bits whether they come from the cache or not.
class ImageFeatures {
 public:
  /// Throws IoError when the cache's folder can't be made or read.
  ImageFeatures(ImageEncoder encoder, const ImageFeaturesOptions& options);
  ImageFeatures(const ImageFeatures&) = delete;
  ImageFeatures& operator=(const ImageFeatures&) = delete;

  const ImageEncoder& encoder() const { return encoder_; }
  /// Where the cache's features lie; nothing without one.
  std::optional<std::filesystem::path> cache_folder() const;

  /// Sees what other processes have put into the cache since.
  void reopen_cache();

  /// Reads and decodes every file, with a cache encodes those that are not there yet; those that can't be
  /// used are returned. After some of them `progress` is called, which may throw to stop: with a cache the
  /// next call goes on. Throws IoError when the cache can't be written.
  std::vector<BadImage> prepare(const std::vector<std::filesystem::path>& files,
                                const FeatureCache::Progress& progress = nullptr);

  /// [rows,width] on the CPU, never to be written to. `draw`: a use in training, which is cropped at random
  /// where that is asked for. Throws as read_image().
  at::Tensor of(const std::string& file, const std::optional<CropDraw>& draw) const;

 private:
  ImageEncoder encoder_;
  std::optional<RandomCrop> random_crop_;
  std::optional<std::filesystem::path> folder_;  ///< of the caches of all towers
  std::optional<FeatureCache> cache_;
  std::unordered_map<std::string, std::string> digests_;  ///< of the files that were prepared
};

}  // namespace excitor
