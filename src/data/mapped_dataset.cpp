#include "mapped_dataset.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace excitor {

MappedDataset::MappedDataset(const std::filesystem::path& folder, const CacheManifest& manifest,
                             const DataFileSettings& data_file)
    : file_(data_file.path, data_file.images, manifest.origins_are_lines) {
  for (const CachedChunk& chunk : manifest.chunks) {
    CacheManifest::verify(folder, chunk);
    chunks_.emplace_back(folder / chunk.file);
    ends_.push_back(size() + chunks_.back().arrays().size());
  }
}

std::pair<const ExampleArrays*, int64_t> MappedDataset::place(int64_t index) const {
  if (index < 0 || index >= size())
    throw std::out_of_range(fmt::format("a dataset of {} has no example {}", size(), index));
  const auto chunk = static_cast<size_t>(std::ranges::upper_bound(ends_, index) - ends_.begin());
  return {&chunks_[chunk].arrays(), chunk == 0 ? index : index - ends_[chunk - 1]};
}

Example MappedDataset::example(int64_t index) const {
  const auto [arrays, inside] = place(index);
  return arrays->example(inside, file_);
}

int64_t MappedDataset::tokens(int64_t index) const {
  const auto [arrays, inside] = place(index);
  return arrays->tokens(inside);
}

int64_t MappedDataset::labels(int64_t index) const {
  const auto [arrays, inside] = place(index);
  return arrays->labels[static_cast<size_t>(inside)];
}

std::string MappedDataset::image(int64_t index) const {
  const auto [arrays, inside] = place(index);
  return arrays->image(inside, file_);
}

}  // namespace excitor
