#include "row_errors.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <excitor/util/error.h>

namespace excitor {

void RowErrors::add(std::string message, const std::string& advice) {
  ++count_;
  if (first_.size() < kShown) first_.push_back(std::move(message));
  if (!advice.empty()) keep_advice(advice);
}

void RowErrors::append(const RowErrors& later) {
  for (const std::string& message : later.first_) {
    if (first_.size() < kShown) first_.push_back(message);
  }
  for (const std::string& advice : later.advice_) keep_advice(advice);
  count_ += later.count_;
}

void RowErrors::keep_advice(const std::string& advice) {
  if (std::ranges::find(advice_, advice) == advice_.end()) advice_.push_back(advice);
}

void RowErrors::throw_if_any() const {
  if (count_ == 0) return;
  const std::string advice = fmt::format("{}", fmt::join(advice_, "; "));
  if (count_ == 1) throw DataError(advice.empty() ? first_.front() : first_.front() + "; " + advice);
  const auto hidden = count_ - static_cast<int64_t>(first_.size());
  throw DataError(fmt::format("{} examples can't be used:\n  {}{}{}", count_, fmt::join(first_, "\n  "),
                              hidden > 0 ? fmt::format("\n  … and {} more", hidden) : "",
                              advice.empty() ? "" : "\n" + advice));
}

}  // namespace excitor
