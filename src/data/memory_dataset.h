// Datasets that are in memory, or are made of others.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <excitor/data/dataset.h>

#include "example_arrays.h"
#include "source_example.h"

namespace excitor {

/// The examples of one file, in memory.
class MemoryDataset final : public Dataset {
 public:
  explicit MemoryDataset(ExampleFile file, ExampleVectors examples)
      : file_(std::move(file)), examples_(std::move(examples)) {}
  int64_t size() const override { return examples_.arrays().size(); }
  Example example(int64_t index) const override;
  int64_t tokens(int64_t index) const override;
  int64_t labels(int64_t index) const override;
  std::string image(int64_t index) const override;

 private:
  /// The arrays, after the index was checked.
  ExampleArrays with(int64_t index) const;

  ExampleFile file_;
  ExampleVectors examples_;
};

/// Several datasets, one after the other.
class JoinedDataset final : public Dataset {
 public:
  explicit JoinedDataset(std::vector<std::shared_ptr<const Dataset>> parts);
  int64_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
  Example example(int64_t index) const override;
  int64_t tokens(int64_t index) const override;
  int64_t labels(int64_t index) const override;
  std::string image(int64_t index) const override;

 private:
  /// The part that holds an example, and the example's index in it.
  std::pair<const Dataset*, int64_t> place(int64_t index) const;

  std::vector<std::shared_ptr<const Dataset>> parts_;
  std::vector<int64_t> ends_;  // index behind each part's last example
};

/// Examples [begin, end) of another dataset.
class DatasetRange final : public Dataset {
 public:
  DatasetRange(std::shared_ptr<const Dataset> whole, int64_t begin, int64_t end);
  int64_t size() const override { return end_ - begin_; }
  Example example(int64_t index) const override { return whole_->example(checked(index)); }
  int64_t tokens(int64_t index) const override { return whole_->tokens(checked(index)); }
  int64_t labels(int64_t index) const override { return whole_->labels(checked(index)); }
  std::string image(int64_t index) const override { return whole_->image(checked(index)); }

 private:
  int64_t checked(int64_t index) const;

  std::shared_ptr<const Dataset> whole_;
  int64_t begin_;
  int64_t end_;
};

/// Chosen examples of another dataset.
class DatasetSelection final : public Dataset {
 public:
  /// `indices`: of the whole.
  DatasetSelection(std::shared_ptr<const Dataset> whole, std::vector<int64_t> indices)
      : whole_(std::move(whole)), indices_(std::move(indices)) {}
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  Example example(int64_t index) const override { return whole_->example(indices_.at(index)); }
  int64_t tokens(int64_t index) const override { return whole_->tokens(indices_.at(index)); }
  int64_t labels(int64_t index) const override { return whole_->labels(indices_.at(index)); }
  std::string image(int64_t index) const override { return whole_->image(indices_.at(index)); }

 private:
  std::shared_ptr<const Dataset> whole_;
  std::vector<int64_t> indices_;
};

}  // namespace excitor
