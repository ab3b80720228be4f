// CLIP's preprocessing: resize, crop, normalise.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/util/describe.h>
#include <excitor/util/json.h>
#include <excitor/util/settings.h>
#include <excitor/vision/image.h>

namespace excitor {

/// The order in which a picture's channels meet the tower's first, second and third. The released Adapter V2
/// was trained on BGR, as OpenCV reads files, by a tower that knows RGB.
enum class ChannelOrder { rgb, bgr };
/// {"rgb", "bgr"}, for Describer::choice().
const std::vector<std::pair<std::string, ChannelOrder>>& channel_order_words();

/// What preprocessor_config.json says; the defaults are CLIP's. Resizing is PIL's antialiased bicubic.
struct Preprocessing {
  /// The short side becomes this long, the long one in proportion (its fraction of a pixel is cut off)…
  std::optional<int64_t> shortest_edge = 224;
  /// …or both sides become this long, when `shortest_edge` is not set. Neither: no resizing.
  std::optional<int64_t> resized_height, resized_width;
  int64_t height = 224;  ///< of the crop from the middle; a smaller picture gets a black border
  int64_t width = 224;
  double rescale_factor = 1.0 / 255;
  std::array<double, 3> mean{0.48145466, 0.4578275, 0.40821073};
  std::array<double, 3> deviation{0.26862954, 0.26130258, 0.27577711};
  /// Not of that file: blue takes the place (mean and deviation, too) of red with bgr.
  ChannelOrder channels = ChannelOrder::rgb;

  /// CLIP's for a tower whose images are `size` wide and high.
  static Preprocessing clip(int64_t size);
  /// Throws CheckpointError that names `folder` unless a tower of images of this size takes what comes out.
  void check_fits(int64_t image_size, const std::filesystem::path& folder) const;
  /// All of it but the channels in preprocessor_config.json's own terms, for adapters and cache keys.
  Json json() const;
  /// The reverse; `name` stands in messages. Absent keys keep CLIP's values for `image_size`. Throws
  /// CheckpointError: wrong types and values, an interpolation other than bicubic, no fixed size.
  static Preprocessing from_json(const Json& json, const std::string& name, int64_t image_size);
};

/// `folder`/preprocessor_config.json, else the "image_processor" of processor_config.json (transformers 5),
/// else CLIP's own for `image_size`. Throws CheckpointError as from_json, ConfigError for what is no JSON.
Preprocessing read_preprocessing(const std::filesystem::path& folder, int64_t image_size);

/// The part of a picture that is shown; all of it where not given.
struct ImageBox {
  int64_t x = 0;
  int64_t y = 0;
  int64_t width = 0;
  int64_t height = 0;
};

/// pixel_values [3,height,width], fp32: (value · rescale_factor − mean) / deviation.
at::Tensor preprocess(const Image& image, const Preprocessing& how);

/// The box stretched to the target's size, instead of the resizing and the crop from the middle.
at::Tensor preprocess_box(const Image& image, const ImageBox& box, const Preprocessing& how);

/// Adapter V2's augmentation, torchvision's RandomResizedCrop: a box of a random share of the area and a
/// random ratio of width to height.
struct RandomCrop {
  double smallest_area = 0.9;  ///< of the picture
  double largest_area = 1;
  double smallest_ratio = 3.0 / 4;
  double largest_ratio = 4.0 / 3;

  void describe(Describer& d);
  /// Adds ranges that are empty.
  void check(const std::string& path, Problems& problems) const;
  /// A function of its arguments alone: `stream` names the epoch and the image.
  ImageBox box(const Image& image, uint64_t seed, uint64_t stream) const;
};

/// Reads and prepares files with all threads, each image on one: [N,3,height,width]. Throws what
/// read_image() throws for the first bad file.
at::Tensor preprocess_files(const std::vector<std::filesystem::path>& files, const Preprocessing& how,
                            const ImageLimits& limits = {});

}  // namespace excitor
