#include <excitor/train/batch.h>

#include <algorithm>

#include <ATen/ops/from_blob.h>

#include <excitor/tensor/device_copy.h>

namespace excitor {
namespace {

at::Tensor to_tensor(const std::vector<int64_t>& values, at::Device device) {
  const auto size = static_cast<int64_t>(values.size());
  return copy_to_device(at::from_blob(const_cast<int64_t*>(values.data()), {size}, at::kLong).clone(),
                        device);
}

/// [rows,width] on the device; undefined for a text.
at::Tensor features_of(const std::string& image, int64_t index, const ImageInput& input, at::Device device) {
  if (image.empty()) return {};
  std::optional<CropDraw> draw;
  if (input.draw) draw = CropDraw{.seed = *input.draw, .stream = static_cast<uint64_t>(index)};
  return copy_to_device(input.features->of(image, draw).to(input.type), device);
}

}  // namespace

LabelledBatch make_batch(std::span<const int64_t> indices, const Dataset& dataset, at::Device device,
                         const ImageInput& images) {
  std::vector<int64_t> ids, rows, targets, lengths;
  LabelledBatch batch;
  for (const int64_t index : indices) {
    const Example example = dataset.example(index);
    const int64_t begin = static_cast<int64_t>(ids.size()), inputs = example.tokens() - 1;
    for (int64_t t = 0; t < inputs; ++t) {
      ids.push_back(example.ids[t]);
      if (!example.supervised[t + 1]) continue;
      rows.push_back(begin + t);
      targets.push_back(example.ids[t + 1]);
    }
    lengths.push_back(inputs);
    if (images.features != nullptr) batch.images.push_back(features_of(example.image, index, images, device));
    batch.real_tokens += example.tokens();
  }
  if (std::ranges::none_of(batch.images, &at::Tensor::defined)) batch.images.clear();
  batch.tokens = {.ids = to_tensor(ids, device), .segments = Segments(lengths)};
  batch.rows = to_tensor(rows, device);
  batch.targets = to_tensor(targets, device);
  return batch;
}

}  // namespace excitor
