// Images that a data set names: where they lie, and what becomes of bad ones.
#pragma once

#include <filesystem>
#include <string>

namespace excitor {

/// The path of image `name` of a data set in its folder. Throws DataError when `name` is empty, absolute, or
/// leads out of the folder by "..". (Links in the folder may point anywhere: its owner laid them.)
std::filesystem::path image_path(const std::filesystem::path& folder, const std::string& name);

/// What is done about images that can't be used: stop, or leave out what shows them.
enum class OnBadImage { fail, skip };

}  // namespace excitor
