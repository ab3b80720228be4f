// Pictures: JPEG, PNG and WebP files into pixels, as PIL opens them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace excitor {

/// A picture of 8 bits a channel.
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;  ///< [height, width, 3]
};

struct ImageLimits {
  /// Width × height, looked at before a pixel is decoded: PIL's own limit (a quarter of 1 GiB in RGB).
  int64_t max_pixels = 89'478'485;
};

/// Reads a picture; its content decides what it is, not its name. The pixels are those of PIL's
/// `Image.open(path).convert("RGB")`: alpha is dropped, EXIF's rotation is not applied, of an animation the
/// first frame is taken, 16 bits a channel lose their low byte (grey alone is cut at 255, as PIL does).
/// Throws IoError (missing, unreadable), or DataError that names the file: empty, truncated, damaged, a
/// checksum that is wrong, not one of the three formats, more pixels than allowed.
Image read_image(const std::filesystem::path& path, const ImageLimits& limits = {});

/// The same for a file's content; `name` stands in messages.
Image decode_image(std::span<const std::byte> content, const std::string& name,
                   const ImageLimits& limits = {});

}  // namespace excitor
