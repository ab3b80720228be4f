#include <excitor/vision/image.h>

#include <cctype>
#include <string_view>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "image_decoders.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// What a content that is no picture of ours is, as far as its beginning tells.
std::string kind_of(std::string_view content) {
  using namespace std::string_view_literals;
  if (content.starts_with("GIF8")) return "a GIF";
  if (content.starts_with("BM")) return "a BMP";
  if (content.starts_with("II*\0"sv) || content.starts_with("MM\0*"sv)) return "a TIFF";
  if (content.size() > 12 && content.substr(4, 4) == "ftyp") return "an AVIF, HEIC or video file";
  if (content.starts_with("version https://git-lfs")) return "a git-lfs pointer (type: git lfs pull)";
  for (const char c : content.substr(0, 64)) {
    if (!std::isprint(static_cast<unsigned char>(c)) && !std::isspace(static_cast<unsigned char>(c)))
      return "something else";
  }
  return "text";
}

Image decode(std::span<const std::byte> content, const ImageLimits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  if (text.empty()) throw DecodingError("is empty");
  if (text.starts_with("\xff\xd8")) return decode_jpeg(content, limits);
  if (text.starts_with("\x89PNG")) return decode_png(content, limits);
  if (text.starts_with("RIFF") && text.size() >= 12 && text.substr(8, 4) == "WEBP")
    return decode_webp(content, limits);
  throw DecodingError(fmt::format("is {}; images are read as JPEG, PNG and WebP: convert it", kind_of(text)));
}

}  // namespace

Image make_image(int64_t width, int64_t height, const ImageLimits& limits) {
  if (width < 1 || height < 1) throw DecodingError(fmt::format("has no pixels ({}×{})", width, height));
  if (width > limits.max_pixels / height) {
    throw DecodingError(fmt::format(
        "has {}×{} pixels, more than the {} that are allowed: a decompression bomb, or scale it down", width,
        height, limits.max_pixels));
  }
  Image image{.width = width, .height = height, .rgb = {}};
  image.rgb.resize(static_cast<size_t>(width * height * 3));
  return image;
}

Image decode_image(std::span<const std::byte> content, const std::string& name, const ImageLimits& limits) {
  try {
    return decode(content, limits);
  } catch (const DecodingError& error) {
    throw DataError(fmt::format("{}: the image {}", name, error.what()));
  }
}

Image read_image(const fs::path& path, const ImageLimits& limits) {
  const MappedFile file(path);
  return decode_image(file.bytes(), path.string(), limits);
}

}  // namespace excitor
