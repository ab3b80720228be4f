// Pictures that tests draw, and PNG files of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>

#include <png.h>

#include <excitor/util/random.h>
#include <excitor/vision/image.h>

namespace excitor {

/// Noise of its own for each seed.
inline Image noise_picture(int64_t width, int64_t height, uint64_t seed) {
  Image image{.width = width, .height = height, .rgb = {}};
  Random random(seed, stream_of("noise"));
  for (int64_t i = 0; i < width * height * 3; ++i)
    image.rgb.push_back(static_cast<uint8_t>(random.below(256)));
  return image;
}

inline void write_png(const std::filesystem::path& file, const Image& picture) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(picture.width);
  png.height = static_cast<png_uint_32>(picture.height);
  png.format = PNG_FORMAT_RGB;
  if (!png_image_write_to_file(&png, file.c_str(), 0, picture.rgb.data(), 0, nullptr))
    throw std::runtime_error(png.message);
}

}  // namespace excitor
