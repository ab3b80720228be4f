// One function a format; each throws DecodingError without the file's name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include <excitor/vision/image.h>

namespace excitor {

/// Why a content is no picture: "is truncated", "…". image.cpp puts the file before it.
class DecodingError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An image of this size, black. Throws DecodingError when it has more pixels than allowed, or none.
Image make_image(int64_t width, int64_t height, const ImageLimits& limits);

Image decode_jpeg(std::span<const std::byte> content, const ImageLimits& limits);
Image decode_png(std::span<const std::byte> content, const ImageLimits& limits);
Image decode_webp(std::span<const std::byte> content, const ImageLimits& limits);

}  // namespace excitor
