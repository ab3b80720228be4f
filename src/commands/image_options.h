// What the commands that answer about images have in common: the vision tower of an adapter, and experts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/eval/scoring.h>
#include <excitor/generate/experts.h>
#include <excitor/vision/image_encoder.h>

#include "session.h"

namespace CLI {
class App;
}

namespace excitor {

struct ImageOptions {
  std::string vision;                ///< folder of the tower; empty: the one that the adapter records
  std::vector<std::string> experts;  ///< as Expert takes them
  double expert_seconds = 60;        ///< for one answer of one expert
};

/// Adds --vision, --expert and --expert-seconds.
void add_image_options(CLI::App& command, ImageOptions& options);

/// Throws UsageError that names an option that says how to look at images, where there is none to look at.
void check_no_image_options(const ImageOptions& options);

/// What an adapter (its folder, or empty) is asked about images with captions.
std::string caption_instruction(const std::string& adapter);

/// An image as a prompt takes it.
struct SeenImage {
  at::Tensor features;  ///< [rows,width]; undefined where the adapter sees texts alone
  std::string words;    ///< of the experts
};

/// Looks at image files for one adapter. The tower is loaded when the first image comes.
class ImageViewer {
 public:
  /// For the adapter of `session`, if any. Throws what Expert throws.
  ImageViewer(const ImageOptions& options, const SessionOptions& session);

  /// Throws UsageError unless images can be made anything of: the adapter has a visual side, or there are
  /// experts.
  void check_has_use() const;
  /// Throws as read_image() for the first of `files` that is bad: before a model is loaded for nothing.
  static void check_images(const std::vector<std::filesystem::path>& files);

  /// Throws as check_has_use(), as read_image() and Expert::ask(), and as the tower's loading: ConfigError or
  /// CheckpointError where it is not there, or not the adapter's.
  SeenImage look(const std::filesystem::path& file, const Session& session);
  /// The adapter has a visual side.
  bool sees() const { return sees_; }
  /// What features depend on besides the image (ImageEncoder::key()); null where the adapter sees texts
  /// alone. Throws as the tower's loading.
  Json tower_key(const Session& session);
  /// What the experts say alone.
  std::string words(const std::filesystem::path& file) const;
  /// The features alone, of many images at a time; refers to both.
  SeeImages eyes(const Session& session);

 private:
  const ImageEncoder& encoder(const Session& session);

  ImageOptions options_;
  SessionOptions session_options_;
  bool sees_ = false;
  std::vector<Expert> experts_;
  std::optional<ImageEncoder> encoder_;
};

}  // namespace excitor
