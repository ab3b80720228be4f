// Images that can't be used: found before work begins, failed on or left out as asked.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <excitor/util/image_path.h>
#include <excitor/vision/image.h>

namespace excitor {

/// An image that can't be used, and why.
struct BadImage {
  std::filesystem::path file;
  std::string reason;
};

/// Reads every file, with all threads; the bad ones in order.
std::vector<BadImage> find_bad_images(const std::vector<std::filesystem::path>& files,
                                      const ImageLimits& limits = {});

/// "3 of 100 images can't be used:" and their reasons, a line each; of many the first ones.
std::string describe_bad_images(const std::vector<BadImage>& bad, size_t images);

/// Throws DataError (fail) or warns (skip) that lists them.
void handle_bad_images(const std::vector<BadImage>& bad, size_t images, OnBadImage what);

}  // namespace excitor
