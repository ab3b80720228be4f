#include <excitor/run/run_images.h>

#include <chrono>
#include <unordered_set>

#include <fmt/format.h>

#include <excitor/run/base_model.h>
#include <excitor/tokenizer/prompt_template.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>
#include <excitor/vision/bad_images.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// Tells how far it is every few seconds, and stops after a signal.
class Looking {
 public:
  explicit Looking(const char* what) : what_(what) {}
  void operator()(int64_t done, int64_t total) {
    if (const int signal = StopSignals::requested(); signal != 0) {
      throw Interrupted(
          fmt::format("stopped after {} of {} images; the same command goes on from there", done, total),
          signal);
    }
    constexpr std::chrono::seconds kBetween{5};
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kBetween || done == total) return;
    last_ = now;
    log::info(fmt::format("{}: {} of {}", what_, done, total));
  }

 private:
  const char* what_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

void leave_out(const std::vector<BadImage>& bad, const std::vector<LoadedDataset*>& data,
               const RunConfig& config, const Tokenizer& tokenizer) {
  const PromptTemplate prompt_template(config.data.prompt_template);
  const std::set<TokenId> ends = prompt_template.end_ids(tokenizer);
  std::set<std::string> images;
  for (const BadImage& image : bad) images.insert(image.file.string());
  for (LoadedDataset* loaded : data) leave_out_images(*loaded, images, ends);
}

}  // namespace

ImageEncoder open_tower(const RunConfig& config) {
  const VisionSettings& vision = *config.vision;
  Method& method = *config.method.method;
  ImageEncoder encoder = open_image_encoder(
      vision.path, {.type = resolve_dtype(vision.dtype == "auto" ? config.model.dtype : vision.dtype),
                    .channels = vision.image_channels,
                    .features = method.visual_features()});
  method.visual()->see(encoder, vision.path);
  return encoder;
}

std::unique_ptr<ImageFeatures> make_image_features(ImageEncoder encoder, const RunConfig& config) {
  const VisionSettings& vision = *config.vision;
  ImageFeaturesOptions options{.random_crop = vision.random_resized_crop};
  const auto folder = cache_folder(config.data.cache_dir);
  if (vision.cache && !vision.random_resized_crop && folder) options.cache = *folder / "features";
  return std::make_unique<ImageFeatures>(std::move(encoder), options);
}

std::vector<fs::path> images_of(const std::vector<const Dataset*>& datasets) {
  std::vector<fs::path> files;
  std::unordered_set<std::string> seen;
  for (const Dataset* dataset : datasets) {
    for (int64_t i = 0; i < dataset->size(); ++i) {
      std::string image = dataset->image(i);
      if (!image.empty() && seen.insert(image).second) files.emplace_back(std::move(image));
    }
  }
  return files;
}

void prepare_images(ImageFeatures& features, const std::vector<LoadedDataset*>& data, const RunConfig& config,
                    const Tokenizer& tokenizer) {
  std::vector<const Dataset*> datasets;
  for (const LoadedDataset* loaded : data) datasets.push_back(loaded->dataset.get());
  const std::vector<fs::path> files = images_of(datasets);
  if (files.empty()) return;
  const auto cache = features.cache_folder();
  const auto bad = features.prepare(files, Looking(cache ? "images encoded" : "images looked at"));
  log::info(
      cache ? fmt::format("{} images; their features lie in {}", files.size() - bad.size(), cache->string())
            : fmt::format("{} images; the tower sees them anew in each step", files.size() - bad.size()));
  handle_bad_images(bad, files.size(), config.data.on_bad_image);
  if (bad.empty()) return;
  leave_out(bad, data, config, tokenizer);
}

std::vector<fs::path> evaluation_images(const RunConfig& config, const ScoredTasks& tasks) {
  std::set<fs::path> files(config.eval.sample_images.begin(), config.eval.sample_images.end());
  for (const auto& task : tasks) {
    for (const fs::path& file : task->images())
      if (!file.empty()) files.insert(file);
  }
  return {files.begin(), files.end()};
}

void prepare_evaluation_images(ImageFeatures& features, const std::vector<fs::path>& files) {
  const auto bad = features.prepare(files, Looking("images of evaluations looked at"));
  if (bad.empty()) return;
  throw DataError(
      describe_bad_images(bad, files.size()) +
      "\nevaluations show them (eval.sample_images, eval.tasks): mend them, or leave them out there");
}

}  // namespace excitor
