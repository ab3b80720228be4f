#include "visual_pass.h"

#include <algorithm>

#include <ATen/ops/cat.h>

namespace excitor {

std::vector<at::Tensor> visual_rows(const SequenceImages& images,
                                    const std::function<at::Tensor(const at::Tensor& features)>& project) {
  if (std::none_of(images.begin(), images.end(), [](const at::Tensor& image) { return image.defined(); }))
    return {};
  std::vector<at::Tensor> rows;
  for (const at::Tensor& image : images) rows.push_back(image.defined() ? project(image) : at::Tensor());
  return rows;
}

at::Tensor for_each_sequence(
    const at::Tensor& x, const Segments& segments,
    const std::function<at::Tensor(int64_t sequence, const at::Tensor& tokens)>& part) {
  std::vector<at::Tensor> parts;
  for (int64_t i = 0; i < segments.count(); ++i)
    parts.push_back(part(i, x.narrow(0, segments.begin(i), segments.length(i))));
  return at::cat(parts, 0);
}

}  // namespace excitor
