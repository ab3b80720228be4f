// WebP by libwebp: lossy, lossless, with alpha; the first frame of an animation.
#include <algorithm>
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>

#include <fmt/format.h>

#include "image_decoders.h"

namespace excitor {
namespace {

const char* reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "is truncated: the WebP ends early";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "is a WebP of a kind that libwebp does not read";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "is a WebP that needs more memory than there is";
    default:
      return "is a damaged WebP";
  }
}

WebPData webp_data(std::span<const std::byte> content) {
  return {.bytes = reinterpret_cast<const uint8_t*>(content.data()), .size = content.size()};
}

/// The first frame on the animation's canvas.
void decode_first_frame(std::span<const std::byte> content, Image& image) {
  const WebPData data = webp_data(content);
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  options.color_mode = MODE_RGBA;
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&data, &options), WebPAnimDecoderDelete);
  uint8_t* rgba = nullptr;
  int timestamp = 0;
  WebPAnimInfo canvas;
  const bool whole = decoder && WebPAnimDecoderGetInfo(decoder.get(), &canvas) &&
                     canvas.canvas_width == image.width && canvas.canvas_height == image.height &&
                     WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp);
  if (!whole) throw DecodingError("is a damaged or truncated animated WebP");
  for (int64_t i = 0; i < image.width * image.height; ++i)
    std::copy_n(rgba + 4 * i, 3, image.rgb.data() + 3 * i);
}

}  // namespace

Image decode_webp(std::span<const std::byte> content, const ImageLimits& limits) {
  const WebPData data = webp_data(content);
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) throw DecodingError("needs another version of libwebp");
  if (const auto status = WebPGetFeatures(data.bytes, data.size, &config.input); status != VP8_STATUS_OK)
    throw DecodingError(reason(status));
  Image image = make_image(config.input.width, config.input.height, limits);
  if (config.input.has_animation) {
    decode_first_frame(content, image);
    return image;
  }
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {
      .rgba = image.rgb.data(), .stride = static_cast<int>(image.width * 3), .size = image.rgb.size()};
  if (const auto status = WebPDecode(data.bytes, data.size, &config); status != VP8_STATUS_OK)
    throw DecodingError(reason(status));
  return image;
}

}  // namespace excitor
