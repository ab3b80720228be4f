#include <excitor/eval/caption_images.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/data/question_rows.h>
#include <excitor/util/error.h>
#include <excitor/util/image_path.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// "COCO_val2014_000000000042" -> 42, "42" -> 42, "cat" -> "cat".
Json id_of_name(const std::string& stem) {
  constexpr size_t kCocoDigits = 12, kMostDigits = 18;  // of an integer of 64 bits
  const size_t underscore = stem.rfind('_');
  const std::string end = underscore == std::string::npos ? stem : stem.substr(underscore + 1);
  const bool is_coco = underscore != std::string::npos && end.size() == kCocoDigits;
  const bool is_number = is_digits(end) && end.size() <= kMostDigits;
  if (is_number && (is_coco || underscore == std::string::npos)) return std::stoll(end);
  return stem;
}

bool is_image_name(const fs::path& path) {
  static const std::set<std::string> kEndings = {".jpg", ".jpeg", ".png", ".webp"};
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return kEndings.contains(ending);
}

}  // namespace

std::vector<ImageToCaption> list_image_folder(const fs::path& folder) {
  require_folder(folder, "a folder of images");
  std::vector<fs::path> files;
  for (const auto& entry :
       fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied)) {
    if (is_image_name(entry.path()) && !entry.is_directory()) files.push_back(entry.path());
  }
  if (files.empty())
    throw ConfigError(fmt::format("{}: holds no image (.jpg, .jpeg, .png, .webp)", folder.string()));
  std::ranges::sort(files);
  std::vector<ImageToCaption> images;
  std::map<std::string, fs::path> taken;
  for (const fs::path& file : files) {
    const Json id = id_of_name(file.stem().string());
    const auto [other, is_new] = taken.try_emplace(id.dump(), file);
    if (!is_new) {
      throw DataError(fmt::format(
          "{} and {} would both have the image_id {}; rename one, or give --references, which says the ids",
          other->second.string(), file.string(), id.dump()));
    }
    images.push_back({.id = id, .file = file, .references = {}});
  }
  return images;
}

std::vector<ImageToCaption> find_referenced_images(const std::vector<ReferencedImage>& referenced,
                                                   const fs::path& folder) {
  require_folder(folder, "the folder of the images");
  std::vector<ImageToCaption> images;
  for (const ReferencedImage& image : referenced) {
    if (image.file_name.empty())
      throw DataError(fmt::format("image {} of the references has no \"file_name\"", image.id));
    fs::path file = image_path(folder, image.file_name);
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
      const fs::path flat = folder / fs::path(image.file_name).filename();
      if (fs::exists(flat, ignored)) file = flat;
    }
    images.push_back({.id = Json::parse(image.id), .file = file, .references = image.references});
  }
  return images;
}

std::vector<std::string> drop_bad_images(std::vector<ImageToCaption>& images, OnBadImage what) {
  std::vector<fs::path> files;
  for (const ImageToCaption& image : images) files.push_back(image.file);
  const std::vector<BadImage> bad = find_bad_images(files);
  handle_bad_images(bad, files.size(), what);
  std::vector<std::string> names;
  std::set<fs::path> dropped;
  for (const BadImage& image : bad) {
    names.push_back(image.file.string());
    dropped.insert(image.file);
  }
  std::erase_if(images, [&](const ImageToCaption& image) { return dropped.contains(image.file); });
  if (images.empty()) throw DataError("none of the images can be used");
  return names;
}

}  // namespace excitor
