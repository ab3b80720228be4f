// The `data` section of a configuration.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/describe.h>
#include <excitor/util/image_path.h>

namespace excitor {

enum class LongExamples { truncate, drop, fail };

struct DataFileSettings {
  std::string path;  ///< relative to the configuration file; absolute once resolved
  std::string format =
      "auto";          ///< "alpaca", "chat", … (as describe() lists them), or "auto": what the file says
  std::string images;  ///< folder of the images that the file names; empty: none
  std::string split = "auto";  ///< of karpathy: "train" (with restval) | "val" | "test"
  double weight = 1;           ///< times that an epoch sees each example
  void describe(Describer& d);
};

/// Whether examples of a format show images.
enum class ImagesOfFormat { never, some, all };
ImagesOfFormat images_of_format(const std::string& format);
/// Whether a file of this format holds several splits.
bool has_splits(const std::string& format);

struct DataSettings {
  std::vector<DataFileSettings> train;
  std::vector<DataFileSettings> validation;  ///< instead of val_size
  int64_t val_size = 0;                      ///< the last N examples are held back; 0: none
  Json prompt_template = "alpaca";           ///< a name or an object (PromptTemplate)
  int64_t max_seq_length = 512;              ///< tokens an example may have, BOS and EOS included
  LongExamples on_long_example = LongExamples::truncate;
  OnBadImage on_bad_image = OnBadImage::fail;
  /// What the user says in examples of images with captions (as in Adapter V2's release).
  std::string caption_instruction = "Generate caption of this image";
  bool packing = true;
  bool train_on_inputs = false;
  bool shuffle = true;
  std::string cache_dir = "auto";  ///< a folder, "auto" (below XDG_CACHE_HOME or HOME) or "none"
  void describe(Describer& d);
};

/// The folder that data.cache_dir means: nothing for "none", and for "auto" where neither XDG_CACHE_HOME nor
/// HOME is set.
std::optional<std::filesystem::path> cache_folder(const std::string& cache_dir);

}  // namespace excitor
