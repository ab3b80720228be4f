#include "inspect_image.h"

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <excitor/tensor/dtype.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/vision/clip_tower.h>
#include <excitor/vision/preprocessing.h>

namespace excitor {
namespace {

struct InspectImageOptions {
  std::string tower;
  std::vector<std::string> images;
  std::string output;
  std::string precision = "float32";
};

/// Every state of the tower, in fp32. pixels [N,3,S,S]
std::vector<NamedTensor> states_of(const ClipTower& tower, const at::Tensor& pixels) {
  std::vector<int64_t> layers;
  for (int64_t i = 0; i <= tower.config().num_hidden_layers; ++i) layers.push_back(i);
  const auto states = tower.hidden_states(pixels, layers);
  std::vector<NamedTensor> tensors{{"last_hidden_state", states.back().to(at::kFloat)}};
  for (size_t i = 0; i < states.size(); ++i)
    tensors.push_back({fmt::format("hidden_states.{}", i), states[i].to(at::kFloat)});
  const at::Tensor pooled = tower.post_norm(states.back().select(1, 0));  // [N,W]
  tensors.push_back({"pooler_output", pooled.to(at::kFloat)});
  if (tower.has_projection()) tensors.push_back({"image_embeds", tower.project(pooled).to(at::kFloat)});
  return tensors;
}

void run(const InspectImageOptions& options) {
  const ClipVisionConfig config = read_clip_config(options.tower);
  const Preprocessing how = read_preprocessing(options.tower, config.image_size);
  how.check_fits(config.image_size, options.tower);
  const at::Tensor pixels =
      preprocess_files({options.images.begin(), options.images.end()}, how);  // [N,3,S,S]
  const LoadedTower loaded = load_clip_tower(options.tower, parse_dtype(options.precision));
  auto tensors = states_of(loaded.tower, pixels);
  tensors.push_back({"pixel_values", pixels});
  write_safetensors(options.output, tensors);
}

}  // namespace

void add_inspect_image(CLI::App& inspect) {
  auto options = std::make_shared<InspectImageOptions>();
  auto* command = inspect.add_subcommand(
      "image",
      "Writes an image's pixel_values [1,3,S,S] and a CLIP tower's states [1,T,W], fp32 safetensors");
  command->add_option("tower", options->tower, "Folder of the vision tower")->required();
  command->add_option("--image", options->images, "JPEG, PNG or WebP file, or several")->required();
  command->add_option("--output", options->output, "File to write")->required();
  command->add_option("--precision", options->precision, "Type to compute in")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16", "fp32", "bf16", "fp16"}))
      ->capture_default_str();
  command->footer("Example: excitor inspect image models/clip --image photo.jpg --output states.safetensors");
  command->callback([options] { run(*options); });
}

}  // namespace excitor
