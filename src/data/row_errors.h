// Errors of many rows, reported at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace excitor {

/// Counts errors and keeps the first few, in the order they are added.
class RowErrors {
 public:
  static constexpr size_t kShown = 20;

  /// `message` starts with the row's origin. `advice` says what to do and is shown once for all rows.
  void add(std::string message, const std::string& advice = "");
  void append(const RowErrors& later);
  bool empty() const { return count_ == 0; }
  int64_t count() const { return count_; }
  /// Throws DataError that lists the errors kept and says how many there are, unless there are none.
  void throw_if_any() const;

 private:
  void keep_advice(const std::string& advice);

  std::vector<std::string> first_;
  std::vector<std::string> advice_;  // each once
  int64_t count_ = 0;
};

}  // namespace excitor
