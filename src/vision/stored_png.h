// PNG whose pixels lie uncompressed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace excitor {

/// The same PNG with its pixels inflated, by libdeflate, and stored in blocks that are not compressed; what
/// zlib, which libpng reads with, takes two to three times as long for. All checksums of `content` have been
/// compared; those of the result are zero. `filtered_bytes`: the rows with the filter's byte before each.
///
/// Nothing when the file is not whole and sound from its signature to IEND, since libpng has the words for
/// what is wrong and mends what can be mended; and nothing for rows of more than 64 MiB, to save memory.
std::optional<std::vector<std::byte>> store_pixels(std::span<const std::byte> content, size_t filtered_bytes);

}  // namespace excitor
