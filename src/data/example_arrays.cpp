#include "example_arrays.h"

#include <type_traits>
#include <utility>

#include <excitor/util/image_path.h>

namespace excitor {
namespace {

template <class T>
void append_all(std::vector<T>& to, std::type_identity_t<std::span<const T>> from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

ExampleFile::ExampleFile(const std::string& path, std::string image_folder, bool origins_are_lines)
    : images(std::move(image_folder)) {
  origin.file = std::make_shared<std::string>(path);
  origin.is_line = origins_are_lines;
}

std::string ExampleArrays::image(int64_t index, const ExampleFile& file) const {
  const auto i = static_cast<size_t>(index);
  const auto begin = static_cast<size_t>(image_starts[i]), end = static_cast<size_t>(image_starts[i + 1]);
  if (begin == end) return {};
  const auto name = image_names.subspan(begin, end - begin);
  return image_path(file.images, std::string(name.begin(), name.end())).string();
}

Example ExampleArrays::example(int64_t index, const ExampleFile& file) const {
  const auto i = static_cast<size_t>(index);
  const auto begin = static_cast<size_t>(starts[i]);
  const auto count = static_cast<size_t>(starts[i + 1]) - begin;
  const auto own_ids = ids.subspan(begin, count);
  const auto own_supervised = supervised.subspan(begin, count);
  Origin origin = file.origin;
  origin.number = numbers[i];
  return {.ids = {own_ids.begin(), own_ids.end()},
          .supervised = {own_supervised.begin(), own_supervised.end()},
          .image = image(index, file),
          .origin = origin.text()};
}

void ExampleVectors::append(const Example& example, int64_t number) {
  append_all(ids_, example.ids);
  append_all(supervised_, example.supervised);
  starts_.push_back(static_cast<int64_t>(ids_.size()));
  numbers_.push_back(number);
  labels_.push_back(static_cast<int32_t>(example.labels()));
  append_all(image_names_, std::span<const char>(example.image));
  image_starts_.push_back(static_cast<int64_t>(image_names_.size()));
}

void ExampleVectors::append(const ExampleArrays& later) {
  const auto shift = static_cast<int64_t>(ids_.size());
  const auto image_shift = static_cast<int64_t>(image_names_.size());
  append_all(ids_, later.ids);
  append_all(supervised_, later.supervised);
  append_all(numbers_, later.numbers);
  append_all(labels_, later.labels);
  append_all(image_names_, later.image_names);
  for (const int64_t start : later.starts.subspan(1)) starts_.push_back(start + shift);
  for (const int64_t start : later.image_starts.subspan(1)) image_starts_.push_back(start + image_shift);
}

}  // namespace excitor
