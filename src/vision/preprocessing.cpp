#include <excitor/vision/preprocessing.h>

#include <cmath>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <excitor/util/random.h>

#include "resample.h"

namespace excitor {
namespace {

/// floor(a / 2) for negative a, too.
int64_t half(int64_t a) {
  return (a - (a < 0 ? 1 : 0)) / 2;
}

/// `size` pixels from the middle of all that `source` pixels became.
ResampledAxis from_the_middle(int64_t source, int64_t resized, int64_t size) {
  return {.source_begin = 0,
          .source_size = source,
          .resized = resized,
          .crop_begin = half(resized - size),
          .size = size};
}

/// The length of a side of the resized picture. `other` is the picture's other side.
int64_t resized_side(int64_t side, int64_t other, const std::optional<int64_t>& exact,
                     const Preprocessing& how) {
  if (!how.shortest_edge) return exact.value_or(side);
  if (side <= other) return *how.shortest_edge;
  return static_cast<int64_t>(static_cast<double>(*how.shortest_edge * side) / static_cast<double>(other));
}

/// The 256 values that a channel can take, computed as NumPy does: rescaled in double, the rest in float.
std::array<float, 256> channel_values(const Preprocessing& how, size_t channel) {
  std::array<float, 256> values;
  for (int v = 0; v < 256; ++v) {
    const auto rescaled = static_cast<float>(v * how.rescale_factor);
    values[v] =
        (rescaled - static_cast<float>(how.mean[channel])) / static_cast<float>(how.deviation[channel]);
  }
  return values;
}

/// pixels [H,W,3] of 8 bits -> target [3,H,W]
void normalise(const Image& image, const Preprocessing& how, float* target) {
  const int64_t pixels = image.width * image.height;
  for (size_t c = 0; c < 3; ++c) {
    const auto values = channel_values(how, c);
    const uint8_t* source = image.rgb.data() + (how.channels == ChannelOrder::bgr ? 2 - c : c);
    for (int64_t i = 0; i < pixels; ++i) *target++ = values[source[3 * i]];
  }
}

/// The whole picture, resized and cropped -> target [3,height,width].
void preprocess_into(const Image& image, const Preprocessing& how, float* target) {
  const int64_t width = resized_side(image.width, image.height, how.resized_width, how);
  const int64_t height = resized_side(image.height, image.width, how.resized_height, how);
  normalise(resample(image, from_the_middle(image.width, width, how.width),
                     from_the_middle(image.height, height, how.height)),
            how, target);
}

ResampledAxis stretched(int64_t begin, int64_t length, int64_t size) {
  return {.source_begin = begin, .source_size = length, .resized = size, .crop_begin = 0, .size = size};
}

double uniform(Random& random, double low, double high) {
  return low + (high - low) * random.uniform();
}

}  // namespace

at::Tensor preprocess(const Image& image, const Preprocessing& how) {
  at::Tensor pixels = at::empty({3, how.height, how.width}, at::kFloat);
  preprocess_into(image, how, pixels.data_ptr<float>());
  return pixels;
}

at::Tensor preprocess_box(const Image& image, const ImageBox& box, const Preprocessing& how) {
  at::Tensor pixels = at::empty({3, how.height, how.width}, at::kFloat);
  normalise(resample(image, stretched(box.x, box.width, how.width), stretched(box.y, box.height, how.height)),
            how, pixels.data_ptr<float>());
  return pixels;
}

ImageBox RandomCrop::box(const Image& image, uint64_t seed, uint64_t stream) const {
  Random random(seed, stream);
  const auto area = static_cast<double>(image.width * image.height);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double share = area * uniform(random, smallest_area, largest_area);
    const double ratio = std::exp(uniform(random, std::log(smallest_ratio), std::log(largest_ratio)));
    const int64_t width = std::llround(std::sqrt(share * ratio));
    const int64_t height = std::llround(std::sqrt(share / ratio));
    if (width < 1 || width > image.width || height < 1 || height > image.height) continue;
    return {.x = static_cast<int64_t>(random.below(image.width - width + 1)),
            .y = static_cast<int64_t>(random.below(image.height - height + 1)),
            .width = width,
            .height = height};
  }
  // As much of the middle as the ratios allow.
  const double ratio = static_cast<double>(image.width) / static_cast<double>(image.height);
  ImageBox box{.x = 0, .y = 0, .width = image.width, .height = image.height};
  if (ratio < smallest_ratio) box.height = std::llround(static_cast<double>(box.width) / smallest_ratio);
  if (ratio > largest_ratio) box.width = std::llround(static_cast<double>(box.height) * largest_ratio);
  box.width = std::max<int64_t>(box.width, 1), box.height = std::max<int64_t>(box.height, 1);
  box.x = (image.width - box.width) / 2, box.y = (image.height - box.height) / 2;
  return box;
}

at::Tensor preprocess_files(const std::vector<std::filesystem::path>& files, const Preprocessing& how,
                            const ImageLimits& limits) {
  const auto count = static_cast<int64_t>(files.size());
  at::Tensor pixels = at::empty({count, 3, how.height, how.width}, at::kFloat);
  float* begin = pixels.data_ptr<float>();
  at::parallel_for(0, count, 1, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i)
      preprocess_into(read_image(files[i], limits), how, begin + i * 3 * how.height * how.width);
  });
  return pixels;
}

}  // namespace excitor
