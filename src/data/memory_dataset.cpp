#include "memory_dataset.h"

#include <stdexcept>

namespace excitor {

Example MemoryDataset::example(int64_t index) const {
  const auto i = static_cast<size_t>(index);
  const int64_t begin = starts_.at(i);
  const int64_t end = starts_.at(i + 1);
  return {.ids = {ids_.begin() + begin, ids_.begin() + end},
          .supervised = {supervised_.begin() + begin, supervised_.begin() + end},
          .origin = origins_[i].text()};
}

int64_t MemoryDataset::tokens(int64_t index) const {
  const auto i = static_cast<size_t>(index);
  return starts_.at(i + 1) - starts_.at(i);
}

void MemoryDataset::append(const Example& example, const Origin& origin) {
  ids_.insert(ids_.end(), example.ids.begin(), example.ids.end());
  supervised_.insert(supervised_.end(), example.supervised.begin(), example.supervised.end());
  starts_.push_back(static_cast<int64_t>(ids_.size()));
  labels_.push_back(static_cast<int32_t>(example.labels()));
  origins_.push_back(origin);
}

void MemoryDataset::append(const MemoryDataset& later) {
  const auto shift = static_cast<int64_t>(ids_.size());
  ids_.insert(ids_.end(), later.ids_.begin(), later.ids_.end());
  supervised_.insert(supervised_.end(), later.supervised_.begin(), later.supervised_.end());
  for (size_t i = 1; i < later.starts_.size(); ++i) starts_.push_back(later.starts_[i] + shift);
  labels_.insert(labels_.end(), later.labels_.begin(), later.labels_.end());
  origins_.insert(origins_.end(), later.origins_.begin(), later.origins_.end());
}

DatasetRange::DatasetRange(std::shared_ptr<const Dataset> whole, int64_t begin, int64_t end)
    : whole_(std::move(whole)), begin_(begin), end_(end) {}

int64_t DatasetRange::checked(int64_t index) const {
  if (index < 0 || index >= size()) throw std::out_of_range("DatasetRange: example " + std::to_string(index));
  return begin_ + index;
}

}  // namespace excitor
