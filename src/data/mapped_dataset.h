// A dataset in the token cache, mapped into memory.
#pragma once

#include <filesystem>
#include <utility>
#include <vector>

#include <excitor/data/dataset.h>

#include "cache_manifest.h"
#include "token_chunk.h"

namespace excitor {

/// The chunks of a complete cache folder. Pages are read when an example is asked for; files that are removed
/// later stay readable.
class MappedDataset final : public Dataset {
 public:
  /// `data_file` stands in the origins, its folder in front of images. Every chunk is hashed. Throws
  /// DataError or IoError when one is damaged.
  MappedDataset(const std::filesystem::path& folder, const CacheManifest& manifest,
                const DataFileSettings& data_file);
  int64_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
  Example example(int64_t index) const override;
  int64_t tokens(int64_t index) const override;
  int64_t labels(int64_t index) const override;
  std::string image(int64_t index) const override;

 private:
  /// The chunk that holds an example, and the example's index in it.
  std::pair<const ExampleArrays*, int64_t> place(int64_t index) const;

  ExampleFile file_;
  std::vector<MappedChunk> chunks_;
  std::vector<int64_t> ends_;  // index behind each chunk's last example
};

}  // namespace excitor
