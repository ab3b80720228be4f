#include "example_arrays.h"

#include <type_traits>

namespace excitor {
namespace {

template <class T>
void append_all(std::vector<T>& to, std::type_identity_t<std::span<const T>> from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

Example ExampleArrays::example(int64_t index, const Origin& file) const {
  const auto i = static_cast<size_t>(index);
  const auto begin = static_cast<size_t>(starts[i]);
  const auto count = static_cast<size_t>(starts[i + 1]) - begin;
  const auto own_ids = ids.subspan(begin, count);
  const auto own_supervised = supervised.subspan(begin, count);
  const Origin origin{.file = file.file, .number = numbers[i], .is_line = file.is_line};
  return {.ids = {own_ids.begin(), own_ids.end()},
          .supervised = {own_supervised.begin(), own_supervised.end()},
          .origin = origin.text()};
}

void ExampleVectors::append(const Example& example, int64_t number) {
  append_all(ids_, example.ids);
  append_all(supervised_, example.supervised);
  starts_.push_back(static_cast<int64_t>(ids_.size()));
  numbers_.push_back(number);
  labels_.push_back(static_cast<int32_t>(example.labels()));
}

void ExampleVectors::append(const ExampleArrays& later) {
  const auto shift = static_cast<int64_t>(ids_.size());
  append_all(ids_, later.ids);
  append_all(supervised_, later.supervised);
  append_all(numbers_, later.numbers);
  append_all(labels_, later.labels);
  for (const int64_t start : later.starts.subspan(1)) starts_.push_back(start + shift);
}

}  // namespace excitor
