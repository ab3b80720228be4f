// Examples laid flat in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <excitor/data/dataset.h>

#include "source_example.h"

namespace excitor {

class MemoryDataset final : public Dataset {
 public:
  int64_t size() const override { return static_cast<int64_t>(origins_.size()); }
  Example example(int64_t index) const override;
  int64_t tokens(int64_t index) const override;
  int64_t labels(int64_t index) const override { return labels_.at(static_cast<size_t>(index)); }

  /// `example.origin` is ignored; `origin` stands for it.
  void append(const Example& example, const Origin& origin);
  void append(const MemoryDataset& later);

 private:
  std::vector<TokenId> ids_;         // all examples' ids, one after the other
  std::vector<uint8_t> supervised_;  // beside ids_
  std::vector<int64_t> starts_{0};   // [examples + 1], into ids_
  std::vector<int32_t> labels_;      // [examples]
  std::vector<Origin> origins_;      // [examples]
};

/// Examples [begin, end) of another dataset.
class DatasetRange final : public Dataset {
 public:
  DatasetRange(std::shared_ptr<const Dataset> whole, int64_t begin, int64_t end);
  int64_t size() const override { return end_ - begin_; }
  Example example(int64_t index) const override { return whole_->example(checked(index)); }
  int64_t tokens(int64_t index) const override { return whole_->tokens(checked(index)); }
  int64_t labels(int64_t index) const override { return whole_->labels(checked(index)); }

 private:
  int64_t checked(int64_t index) const;

  std::shared_ptr<const Dataset> whole_;
  int64_t begin_;
  int64_t end_;
};

}  // namespace excitor
