#include "memory_dataset.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace excitor {
namespace {

void require_inside(int64_t index, int64_t size) {
  if (index < 0 || index >= size)
    throw std::out_of_range("a dataset of " + std::to_string(size) + " has no example " +
                            std::to_string(index));
}

}  // namespace

ExampleArrays MemoryDataset::with(int64_t index) const {
  require_inside(index, size());
  return examples_.arrays();
}

Example MemoryDataset::example(int64_t index) const {
  return with(index).example(index, file_);
}

int64_t MemoryDataset::tokens(int64_t index) const {
  return with(index).tokens(index);
}

int64_t MemoryDataset::labels(int64_t index) const {
  return with(index).labels[static_cast<size_t>(index)];
}

std::string MemoryDataset::image(int64_t index) const {
  return with(index).image(index, file_);
}

JoinedDataset::JoinedDataset(std::vector<std::shared_ptr<const Dataset>> parts) : parts_(std::move(parts)) {
  for (const auto& part : parts_) ends_.push_back(size() + part->size());
}

std::pair<const Dataset*, int64_t> JoinedDataset::place(int64_t index) const {
  require_inside(index, size());
  const auto end = std::ranges::upper_bound(ends_, index);
  const auto part = static_cast<size_t>(end - ends_.begin());
  return {parts_[part].get(), part == 0 ? index : index - ends_[part - 1]};
}

Example JoinedDataset::example(int64_t index) const {
  const auto [part, inside] = place(index);
  return part->example(inside);
}

int64_t JoinedDataset::tokens(int64_t index) const {
  const auto [part, inside] = place(index);
  return part->tokens(inside);
}

int64_t JoinedDataset::labels(int64_t index) const {
  const auto [part, inside] = place(index);
  return part->labels(inside);
}

std::string JoinedDataset::image(int64_t index) const {
  const auto [part, inside] = place(index);
  return part->image(inside);
}

DatasetRange::DatasetRange(std::shared_ptr<const Dataset> whole, int64_t begin, int64_t end)
    : whole_(std::move(whole)), begin_(begin), end_(end) {}

int64_t DatasetRange::checked(int64_t index) const {
  require_inside(index, size());
  return begin_ + index;
}

}  // namespace excitor
