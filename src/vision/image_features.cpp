#include <excitor/vision/image_features.h>

#include <algorithm>
#include <stdexcept>

#include <excitor/util/cache_folder.h>
#include <excitor/vision/bad_images.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

std::vector<BadImage> decode_all(const std::vector<fs::path>& files, const FeatureCache::Progress& progress) {
  constexpr int64_t kAtOnce = 128;
  std::vector<BadImage> bad;
  const int64_t total = std::ssize(files);
  for (int64_t begin = 0; begin < total; begin += kAtOnce) {
    const int64_t end = std::min(begin + kAtOnce, total);
    for (BadImage& image : find_bad_images({files.begin() + begin, files.begin() + end}))
      bad.push_back(std::move(image));
    if (progress) progress(end, total);
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
  if (!folder_) return;
  cache_.emplace(*folder_, encoder_);
  note_cache_use(cache_->folder());
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
