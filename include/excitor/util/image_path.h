// Where the images that a data set names lie.
#pragma once

#include <filesystem>
#include <string>

namespace excitor {

/// The path of image `name` of a data set in its folder. Throws DataError when `name` is empty, absolute, or
/// leads out of the folder by "..". (Links in the folder may point anywhere: its owner laid them.)
std::filesystem::path image_path(const std::filesystem::path& folder, const std::string& name);

}  // namespace excitor
