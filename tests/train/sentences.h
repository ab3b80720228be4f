// A dataset for tests of training.
#pragma once

#include <vector>

#include <excitor/data/dataset.h>

namespace excitor::test {

/// Examples of given lengths; the second half of each is labels.
class Sentences final : public Dataset {
 public:
  explicit Sentences(const std::vector<int64_t>& lengths) {
    for (const int64_t n : lengths) {
      Example example;
      for (int64_t t = 0; t < n; ++t) {
        example.ids.push_back(static_cast<TokenId>((7 * t + 3 * n) % 23));
        example.supervised.push_back(t >= n / 2 && t > 0);
      }
      examples_.push_back(std::move(example));
    }
  }
  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  Example example(int64_t i) const override { return examples_[i]; }
  int64_t tokens(int64_t i) const override { return examples_[i].tokens(); }
  int64_t labels(int64_t i) const override { return examples_[i].labels(); }

 private:
  std::vector<Example> examples_;
};

}  // namespace excitor::test
