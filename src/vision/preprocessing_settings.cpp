// preprocessor_config.json of Hugging Face, in the spellings of transformers 4 and 5.
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/settings.h>
#include <excitor/vision/preprocessing.h>

namespace excitor {
namespace {

constexpr int64_t kBicubic = 3;  // PIL's number
constexpr int64_t kLargestSide = 1 << 14;
constexpr Range kSide{.minimum = 1, .maximum = kLargestSide};

/// {"height", "width"} or {"shortest_edge"}.
struct Sides {
  std::optional<int64_t> shortest_edge, height, width;

  void describe(Describer& d) {
    d.field("shortest_edge", shortest_edge, "Length of the short side, in pixels.", kSide);
    d.field("height", height, "In pixels.", kSide);
    d.field("width", width, "In pixels.", kSide);
  }
};

struct PreprocessorFile {
  bool do_resize = true, do_center_crop = true, do_rescale = true, do_normalize = true;
  int64_t resample = kBicubic;
  double rescale_factor = 1.0 / 255;
  Json size, crop_size, image_mean, image_std;

  void describe(Describer& d) {
    d.field("do_resize", do_resize, "Whether the picture is resized to `size`.");
    d.field("do_center_crop", do_center_crop, "Whether `crop_size` is cut from its middle.");
    d.field("do_rescale", do_rescale, "Whether values are multiplied with `rescale_factor`.");
    d.field("do_normalize", do_normalize, "Whether `image_mean` and `image_std` are applied.");
    d.field("resample", resample, "Interpolation, PIL's number.");
    d.field("rescale_factor", rescale_factor, "1/255.", kPositive);
    d.field("size", size, "A number, {shortest_edge}, or {height, width}.");
    d.field("crop_size", crop_size, "A number, or {height, width}.");
    d.field("image_mean", image_mean, "Three numbers.");
    d.field("image_std", image_std, "Three numbers.");
  }
};

/// The keys of `all` that `describe` knows; a null keeps the default.
Json known_keys(const Json& all, const std::function<void(Describer&)>& describe) {
  Json known = Json::object();
  for (const auto& path : list_paths(describe)) {
    if (all.contains(path) && !all[path].is_null()) known[path] = all[path];
  }
  return known;
}

/// `size` or `crop_size`; a bare number goes to `number`.
Sides read_sides(const Json& json, const char* key, std::optional<int64_t> Sides::*number,
                 Problems& problems) {
  Sides sides;
  if (json.is_null()) return sides;
  const bool is_object = json.is_object();
  const Json object = is_object ? json : Json{{"shortest_edge", json}};
  read_settings(
      object, [&](Describer& d) { sides.describe(d); }, {.path = key}, problems);
  if (!is_object && number == &Sides::height) {
    sides.height = sides.width = sides.shortest_edge;
    sides.shortest_edge.reset();
  }
  if (sides.height.has_value() != sides.width.has_value() ||
      sides.height.has_value() == sides.shortest_edge.has_value()) {
    problems.add(key, "expected a number, {\"shortest_edge\"}, or {\"height\", \"width\"}");
  }
  return sides;
}

std::array<double, 3> read_three(const Json& json, const char* key, const std::array<double, 3>& absent,
                                 bool positive, Problems& problems) {
  if (json.is_null()) return absent;
  std::array<double, 3> values = absent;
  bool fine = json.is_array() && json.size() == 3;
  for (size_t i = 0; fine && i < 3; ++i) {
    fine = json[i].is_number();
    if (fine) values[i] = json[i].get<double>();
    fine = fine && std::isfinite(values[i]) && (!positive || values[i] > 0);
  }
  if (!fine) problems.add(key, fmt::format("expected three {}numbers", positive ? "positive " : ""));
  return values;
}

void set_size(const PreprocessorFile& file, Preprocessing& how, Problems& problems) {
  const Sides size = read_sides(file.size, "size", &Sides::shortest_edge, problems);
  if (!file.size.is_null() || !file.do_resize) {
    how.shortest_edge = size.shortest_edge;
    how.resized_height = size.height, how.resized_width = size.width;
  }
  if (!file.do_resize) how.shortest_edge.reset(), how.resized_height.reset(), how.resized_width.reset();
}

void set_crop(const PreprocessorFile& file, Preprocessing& how, Problems& problems) {
  const Sides crop = read_sides(file.crop_size, "crop_size", &Sides::height, problems);
  if (file.do_center_crop) {
    if (crop.shortest_edge) problems.add("crop_size", "expected a number, or {\"height\", \"width\"}");
    how.height = crop.height.value_or(how.height), how.width = crop.width.value_or(how.width);
  } else if (how.resized_height && how.resized_width) {
    how.height = *how.resized_height, how.width = *how.resized_width;
  } else {
    problems.add("do_center_crop",
                 "is false, and `size` gives no height and width: a tower takes images of "
                 "one size");
  }
}

}  // namespace

const std::vector<std::pair<std::string, ChannelOrder>>& channel_order_words() {
  static const std::vector<std::pair<std::string, ChannelOrder>> kWords{{"rgb", ChannelOrder::rgb},
                                                                        {"bgr", ChannelOrder::bgr}};
  return kWords;
}

void RandomCrop::describe(Describer& d) {
  constexpr Range kShare{.minimum = 0, .maximum = 1, .open_minimum = true};
  constexpr Range kRatio{.minimum = 0.01, .maximum = 100};
  d.field("smallest_area", smallest_area, "Least share of a picture's area that is shown.", kShare);
  d.field("largest_area", largest_area, "Greatest share.", kShare);
  d.field("smallest_ratio", smallest_ratio, "Least ratio of width to height.", kRatio);
  d.field("largest_ratio", largest_ratio, "Greatest ratio.", kRatio);
}

void RandomCrop::check(const std::string& path, Problems& problems) const {
  if (smallest_area > largest_area) problems.add(path + ".smallest_area", "is above largest_area");
  if (smallest_ratio > largest_ratio) problems.add(path + ".smallest_ratio", "is above largest_ratio");
}

Preprocessing Preprocessing::clip(int64_t size) {
  Preprocessing how;
  how.shortest_edge = how.height = how.width = size;
  return how;
}

Preprocessing Preprocessing::from_json(const Json& json, const std::string& name, int64_t image_size) {
  if (!json.is_object())
    throw CheckpointError(fmt::format("{}: found {}, expected an object", name, describe_value(json)));
  PreprocessorFile file;
  Problems problems;
  const auto describe = [&](Describer& d) { file.describe(d); };
  read_settings(known_keys(json, describe), describe, {}, problems);
  if (file.resample != kBicubic) {
    problems.add("resample",
                 fmt::format("found {}, but only PIL's bicubic ({}) is there", file.resample, kBicubic));
  }
  Preprocessing how = clip(image_size);
  set_size(file, how, problems);
  set_crop(file, how, problems);
  how.rescale_factor = file.do_rescale ? file.rescale_factor : 1;
  how.mean = read_three(file.image_mean, "image_mean", how.mean, false, problems);
  how.deviation = read_three(file.image_std, "image_std", how.deviation, true, problems);
  if (!file.do_normalize) how.mean = {0, 0, 0}, how.deviation = {1, 1, 1};
  try {
    problems.throw_if_any(name);
  } catch (const ConfigError& error) {
    throw CheckpointError(error.what());
  }
  return how;
}

void Preprocessing::check_fits(int64_t image_size, const std::filesystem::path& folder) const {
  if (height == image_size && width == image_size) return;
  throw CheckpointError(fmt::format(
      "{0}: preprocessor_config.json makes images of {1}×{2} pixels, but the tower in config.json takes "
      "{3}×{3}; the two files belong to different towers",
      folder.string(), width, height, image_size));
}

Json Preprocessing::json() const {
  Json json = {{"do_resize", shortest_edge || resized_height}, {"resample", kBicubic}};
  if (shortest_edge) json["size"] = {{"shortest_edge", *shortest_edge}};
  if (resized_height) json["size"] = {{"height", *resized_height}, {"width", *resized_width}};
  json["do_center_crop"] = true;
  json["crop_size"] = {{"height", height}, {"width", width}};
  json["rescale_factor"] = rescale_factor;
  json["image_mean"] = mean;
  json["image_std"] = deviation;
  return json;
}

Preprocessing read_preprocessing(const std::filesystem::path& folder, int64_t image_size) {
  const auto own = folder / "preprocessor_config.json", joint = folder / "processor_config.json";
  if (std::filesystem::exists(own))
    return Preprocessing::from_json(read_json_file(own), own.string(), image_size);
  if (std::filesystem::exists(joint)) {
    const Json json = read_json_file(joint);
    if (json.is_object() && json.contains("image_processor"))
      return Preprocessing::from_json(json["image_processor"], joint.string(), image_size);
  }
  return Preprocessing::clip(image_size);
}

}  // namespace excitor
