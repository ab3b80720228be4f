#include "visual_pass.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

namespace excitor {

std::vector<at::Tensor> visual_rows(const SequenceImages& images,
                                    const std::function<at::Tensor(const at::Tensor& features)>& project) {
  std::vector<at::Tensor> shown, rows;
  for (const at::Tensor& image : images)
    if (image.defined()) shown.push_back(image);
  if (shown.empty()) return {};
  const at::Tensor projected = project(at::stack(shown));
  int64_t next = 0;
  for (const at::Tensor& image : images)
    rows.push_back(image.defined() ? projected.select(0, next++) : at::Tensor());
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
