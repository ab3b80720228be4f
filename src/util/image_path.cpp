#include <excitor/util/image_path.h>

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {

namespace fs = std::filesystem;

fs::path image_path(const fs::path& folder, const std::string& name) {
  const fs::path relative = fs::path(name).lexically_normal();
  if (name.empty() || name.find('\0') != std::string::npos)
    throw DataError(fmt::format("{}: an image of it has no name", folder.string()));
  if (relative.is_absolute() || *relative.begin() == "..") {
    throw DataError(fmt::format(
        "{}: the image lies outside the image folder {}; its path is relative to that folder, without \"..\"",
        name, folder.string()));
  }
  return folder / relative;
}

}  // namespace excitor
