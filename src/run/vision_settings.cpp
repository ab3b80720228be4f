#include <excitor/run/vision_settings.h>

#include <filesystem>

#include <fmt/format.h>

#include <excitor/run/run_config.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

bool shows_images(const DataFileSettings& file) {
  const ImagesOfFormat images = images_of_format(file.format);
  return images == ImagesOfFormat::all || (images == ImagesOfFormat::some && !file.images.empty());
}

void check_file(const DataFileSettings& file, const std::string& path, Problems& problems,
                Problems& missing) {
  const ImagesOfFormat images = images_of_format(file.format);
  if (images == ImagesOfFormat::all && file.images.empty())
    problems.add(path + ".images",
                 fmt::format("is missing: the folder of the images of format {}", file.format));
  if (images == ImagesOfFormat::never && !file.images.empty())
    problems.add(path + ".images",
                 fmt::format("is given, but files of format {} show no images", file.format));
  if (file.split != "auto" && !has_splits(file.format))
    problems.add(path + ".split",
                 fmt::format("is given, but a file of format {} has no splits", file.format));
  if (!file.images.empty() && !fs::is_directory(file.images))
    missing.add(path + ".images", "no such folder: " + file.images);
}

void check_tower(const RunConfig& config, Problems& problems, Problems& missing) {
  const VisionSettings& vision = *config.vision;
  if (vision.path.empty())
    problems.add("vision.path", "is missing: the folder of a CLIP vision tower");
  else if (!fs::is_directory(vision.path))
    missing.add("vision.path", "no such folder: " + vision.path);
  if (vision.random_resized_crop) vision.random_resized_crop->check("vision.random_resized_crop", problems);
  if (config.method.method->visual() == nullptr) {
    problems.add("vision", fmt::format("is given, but method {} sees no images; use excitor, adapter or "
                                       "adapter_v2",
                                       config.method.type));
  }
}

}  // namespace

void VisionSettings::describe(Describer& d) {
  d.field("path", path, "Folder of a CLIP vision tower (Hugging Face: config.json and weights).");
  d.field(
      "cache", cache,
      "Keep the features of all images in data.cache_dir: the tower sees each image once, whatever runs and "
      "sweeps follow. Losses are the same bits either way.");
  std::vector<std::pair<std::string, std::string>> dtypes;
  for (const char* word : {"auto", "float32", "bfloat16", "float16"}) dtypes.emplace_back(word, word);
  d.choice("dtype", dtype, dtypes,
           "Type that the tower computes in; auto: model.dtype where given, else float32.");
  d.choice("image_channels", image_channels, channel_order_words(),
           "Order of the channels that the tower is shown. bgr: as the released Adapter V2 was trained.");
  d.optional_object(
      "random_resized_crop", random_resized_crop,
      "Show a random part of each training image, stretched to the tower's size (the defaults are "
      "Adapter V2's). The cache is then off.");
}

void check_vision(const RunConfig& config, Problems& problems, Problems& missing) {
  bool needs_tower = false;
  for (const auto& [name, files] :
       {std::pair{"data.train", &config.data.train}, std::pair{"data.validation", &config.data.validation}}) {
    for (size_t i = 0; i < files->size(); ++i) {
      check_file((*files)[i], fmt::format("{}[{}]", name, i), problems, missing);
      needs_tower = needs_tower || shows_images((*files)[i]);
    }
  }
  if (config.vision) return check_tower(config, problems, missing);
  if (!config.eval.sample_images.empty())
    problems.add("eval.sample_images",
                 "nothing sees images in this run; give the section vision, with the folder of a CLIP tower");
  if (needs_tower)
    problems.add("vision",
                 "is missing: the data show images, and no tower sees them; give {\"path\": FOLDER}");
}

}  // namespace excitor
