// Where sequences lie in flat tokens: all tokens of a step stand one after the other, without padding.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace excitor {

/// Boundaries of N sequences in [T] tokens: sequence i is [begins[i], begins[i+1]).
class Segments {
 public:
  Segments() = default;
  /// From the lengths of the sequences, each at least 1.
  explicit Segments(const std::vector<int64_t>& lengths) {
    for (const int64_t length : lengths) begins_.push_back(begins_.back() + length);
  }
  int64_t count() const { return static_cast<int64_t>(begins_.size()) - 1; }
  int64_t tokens() const { return begins_.back(); }
  int64_t begin(int64_t i) const { return begins_[i]; }
  int64_t length(int64_t i) const { return begins_[i + 1] - begins_[i]; }
  /// Tokens of the longest sequence; 0 without any.
  int64_t longest() const {
    int64_t most = 0;
    for (int64_t i = 0; i < count(); ++i) most = std::max(most, length(i));
    return most;
  }

  /// The boundaries as variable-length attention takes them: [N+1] int32 on `device`. Made at the first call,
  /// for all layers of a pass; copies made later share them.
  const at::Tensor& boundaries(at::Device device) const;

 private:
  std::vector<int64_t> begins_{0};
  mutable at::Tensor boundaries_;
};

}  // namespace excitor
