// The rows that the images of a pass become, and attention that differs from sequence to sequence.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include <excitor/model/step.h>

namespace excitor {

/// A pass with images: for each sequence the rows that a method made of its image, or an undefined tensor.
class VisualPass : public PassState {
 public:
  VisualPass() = default;
  explicit VisualPass(std::vector<at::Tensor> rows) : rows_(std::move(rows)) {}

  bool has_images() const { return !rows_.empty(); }
  const at::Tensor& rows(int64_t sequence) const { return rows_[sequence]; }

 private:
  std::vector<at::Tensor> rows_;
};

/// What `project` makes of all images together, [N,rows,width] -> [N,...], for each sequence; empty where
/// none has an image, so that such a pass is one of texts alone.
std::vector<at::Tensor> visual_rows(const SequenceImages& images,
                                    const std::function<at::Tensor(const at::Tensor& features)>& project);

/// `part(i, tokens)` for each sequence, put together again: x [T,...] -> [T,...].
at::Tensor for_each_sequence(
    const at::Tensor& x, const Segments& segments,
    const std::function<at::Tensor(int64_t sequence, const at::Tensor& tokens)>& part);

}  // namespace excitor
