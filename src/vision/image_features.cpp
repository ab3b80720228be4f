#include <excitor/vision/image_features.h>

#include <algorithm>
#include <stdexcept>

#include <ATen/Parallel.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// What is wrong with a picture; "": nothing.
std::string fault_of(const fs::path& file) {
  try {
    read_image(file);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::vector<BadImage> decode_all(const std::vector<fs::path>& files, const FeatureCache::Progress& progress) {
  constexpr int64_t kAtOnce = 128;
  std::vector<BadImage> bad;
  const auto total = static_cast<int64_t>(files.size());
  for (int64_t begin = 0; begin < total; begin += kAtOnce) {
    const int64_t count = std::min(kAtOnce, total - begin);
    std::vector<std::string> faults(static_cast<size_t>(count));
    at::parallel_for(0, count, 1, [&](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; ++i) faults[i] = fault_of(files[begin + i]);
    });
    for (int64_t i = 0; i < count; ++i) {
      if (!faults[i].empty()) bad.push_back({.file = files[begin + i], .reason = faults[i]});
    }
    if (progress) progress(begin + count, total);
  }
  return bad;
}

}  // namespace

ImageFeatures::ImageFeatures(ImageEncoder encoder, const ImageFeaturesOptions& options)
    : encoder_(std::move(encoder)), random_crop_(options.random_crop), folder_(options.cache) {
  if (folder_ && random_crop_) throw std::logic_error("random crops can't come from a cache");
  reopen_cache();
}

void ImageFeatures::reopen_cache() {
  if (folder_) cache_.emplace(*folder_, encoder_);
}

std::optional<fs::path> ImageFeatures::cache_folder() const {
  return cache_ ? std::optional(cache_->folder()) : std::nullopt;
}

std::vector<BadImage> ImageFeatures::prepare(const std::vector<fs::path>& files,
                                             const FeatureCache::Progress& progress) {
  if (!cache_) return decode_all(files, progress);
  std::vector<BadImage> bad;
  const std::vector<std::string> digests = cache_->fill(files, bad, progress);
  for (size_t i = 0; i < files.size(); ++i) {
    if (!digests[i].empty()) digests_[files[i].string()] = digests[i];
  }
  return bad;
}

at::Tensor ImageFeatures::of(const std::string& file, const std::optional<CropDraw>& draw) const {
  if (cache_) {
    const auto digest = digests_.find(file);
    if (digest != digests_.end()) {
      if (auto features = cache_->find(digest->second)) return *std::move(features);
    }
  }
  const Image image = read_image(file);
  const Preprocessing& how = encoder_.preprocessing();
  if (!draw || !random_crop_) return encoder_.encode(preprocess(image, how));
  return encoder_.encode(preprocess_box(image, random_crop_->box(image, draw->seed, draw->stream), how));
}

}  // namespace excitor
