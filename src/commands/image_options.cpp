#include "image_options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <excitor/methods/adapter_files.h>
#include <excitor/util/error.h>
#include <excitor/vision/image.h>
#include <excitor/vision/preprocessing.h>

namespace excitor {
namespace {

bool has_visual_side(const std::string& adapter) {
  if (adapter.empty()) return false;
  const AdapterSettings settings = read_adapter_method(adapter);
  return settings.method->visual() && settings.method->visual()->is_set();
}

}  // namespace

void add_image_options(CLI::App& command, ImageOptions& options) {
  command.add_option("--vision", options.vision,
                     "Folder of the CLIP tower; default: where the adapter was trained with it");
  command
      .add_option(
          "--expert", options.experts,
          "A program whose words about the image enter the prompt as context: ocr (tesseract), or\n"
          "\"NAME=PROGRAM ARGUMENTS {image}\"; may be given several times. A line \"NAME: words\" of\n"
          "each stands in the template's input, in front of any --input")
      ->allow_extra_args(false);
  command.add_option("--expert-seconds", options.expert_seconds, "Longest time of one expert for an image")
      ->check(CLI::Range(0.001, 86'400.0))
      ->capture_default_str();
}

void check_no_image_options(const ImageOptions& options) {
  if (!options.experts.empty()) throw UsageError("--expert: there is no image to ask it about; give --image");
  if (!options.vision.empty()) throw UsageError("--vision: there is no image to look at; give --image");
}

std::string caption_instruction(const std::string& adapter) {
  if (adapter.empty()) return kCaptionInstruction;
  return read_adapter_method(adapter).origin.vision.value_or(VisionOrigin{}).caption_instruction;
}

ImageViewer::ImageViewer(const ImageOptions& options, const SessionOptions& session)
    : options_(options), session_options_(session), sees_(has_visual_side(session.adapter)) {
  for (const std::string& description : options.experts) experts_.emplace_back(description);
}

void ImageViewer::check_has_use() const {
  if (sees_ || !experts_.empty()) return;
  const std::string& adapter = session_options_.adapter;
  throw UsageError(adapter.empty()
                       ? "--image: the base sees no images; give an --adapter that was trained with a vision "
                         "tower, or an --expert whose words are put into the prompt"
                       : fmt::format("--image: the adapter {} has no visual side, it was trained on texts "
                                     "alone; give one that was trained with a vision tower, or an --expert "
                                     "whose words are put into the prompt",
                                     adapter));
}

void ImageViewer::check_images(const std::vector<std::filesystem::path>& files) {
  for (const std::filesystem::path& file : files) read_image(file);
}

const ImageEncoder& ImageViewer::encoder(const Session& session) {
  if (!encoder_) {
    encoder_.emplace(open_adapter_encoder(*session.adapter, session_options_.adapter,
                                          {.folder = options_.vision, .force = session_options_.force}));
    encoder_->move_to(session.base.model.device());
  }
  return *encoder_;
}

SeenImage ImageViewer::look(const std::filesystem::path& file, const Session& session) {
  check_has_use();
  SeenImage seen;
  if (sees_) {
    const ImageEncoder& tower = encoder(session);
    seen.features = tower.encode(preprocess(read_image(file), tower.preprocessing()));
  }
  seen.words = words(file);
  return seen;
}

std::string ImageViewer::words(const std::filesystem::path& file) const {
  return expert_words(experts_, file, {.seconds = options_.expert_seconds});
}

Json ImageViewer::tower_key(const Session& session) {
  return sees_ ? encoder(session).key() : Json();
}

SeeImages ImageViewer::eyes(const Session& session) {
  return [this, &session](const std::vector<std::filesystem::path>& files) {
    std::vector<at::Tensor> features;
    if (files.empty()) return features;
    const ImageEncoder& tower = encoder(session);
    const at::Tensor pixels = preprocess_files(files, tower.preprocessing());  // [N,3,S,S]
    for (int64_t i = 0; i < pixels.size(0); ++i) features.push_back(tower.encode(pixels[i]));
    return features;
  };
}

}  // namespace excitor
