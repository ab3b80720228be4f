// PIL's antialiased bicubic for pictures of 8 bits, equal to it bit for bit: weights of 22 fraction bits, and
// a rounding to 8 bits between the passes over rows and columns.
#pragma once

#include <cstdint>

#include <excitor/vision/image.h>

namespace excitor {

/// One axis of the way from a source to a target: pixels [source_begin, source_begin + source_size) of the
/// source become `resized` pixels, of which the target takes `size` from `crop_begin` on. `crop_begin` may be
/// negative and crop_begin + size beyond `resized`: there the target stays black.
struct ResampledAxis {
  int64_t source_begin = 0;
  int64_t source_size = 0;
  int64_t resized = 0;
  int64_t crop_begin = 0;
  int64_t size = 0;
};

/// The target picture, x.size wide and y.size high. Only what it shows is computed, and from no more of the
/// source than it depends on.
Image resample(const Image& source, const ResampledAxis& x, const ResampledAxis& y);

}  // namespace excitor
