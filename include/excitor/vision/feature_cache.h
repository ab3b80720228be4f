// Features of images on disk: the tower runs once over a data set, whatever runs and sweeps follow.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/vision/bad_images.h>
#include <excitor/vision/image_encoder.h>

namespace excitor {

class KnownImages;

/// A folder of features for one ImageEncoder::key(), in chunks of safetensors ("features" [n,rows,width],
/// "digests" [n,32]). An image is known by the SHA-256 of its file's bytes. Chunks appear whole, under names
/// made of their content, so runs and processes may fill one folder side by side; what an interrupted one
/// wrote is used by the next. Files that stay as they are (by size, times and inode) are not read again.
class FeatureCache {
 public:
  /// Opens or makes `folder`/KEY. A damaged chunk is a warning: its images are encoded again. Throws IoError,
  /// also for a chunk that can't be read now: what is in it is not thrown away.
  FeatureCache(const std::filesystem::path& folder, const ImageEncoder& encoder);

  const std::filesystem::path& folder() const { return folder_; }
  int64_t size() const { return static_cast<int64_t>(places_.size()); }
  /// [rows,width], mapped from its file (never write to it), or nothing.
  std::optional<at::Tensor> find(const std::string& digest) const;

  using Progress = std::function<void(int64_t done, int64_t total)>;
  /// Reads, hashes and encodes the files that are not there yet; the digest of each file, in order, "" for a
  /// bad one. `bad` lists those. After each chunk `progress` is called, which may throw to stop. Throws
  /// IoError when the folder can't be written to.
  std::vector<std::string> fill(const std::vector<std::filesystem::path>& files, std::vector<BadImage>& bad,
                                const Progress& progress = nullptr);

 private:
  struct Place {
    std::shared_ptr<const at::Tensor> chunk;  ///< [n,rows,width]
    int64_t row = 0;
  };
  struct Pending;

  void open_chunk(const std::filesystem::path& file);
  /// Opens a chunk, or says why its images must be encoded again.
  std::optional<std::string> open_or_explain(const std::filesystem::path& chunk);
  /// fill(), where files that `known` tells of need no reading.
  std::vector<std::string> add_missing(const std::vector<std::filesystem::path>& files,
                                       std::vector<BadImage>& bad, const Progress& progress,
                                       KnownImages& known);
  void write_chunk(const Pending& pending);

  const ImageEncoder& encoder_;
  std::filesystem::path folder_;
  std::map<std::string, Place> places_;  ///< by digest
};

}  // namespace excitor
