#include <excitor/train/batch.h>

#include <ATen/ops/from_blob.h>

#include <excitor/tensor/device_copy.h>

namespace excitor {
namespace {

at::Tensor to_tensor(const std::vector<int64_t>& values, at::Device device) {
  const auto size = static_cast<int64_t>(values.size());
  return copy_to_device(at::from_blob(const_cast<int64_t*>(values.data()), {size}, at::kLong).clone(),
                        device);
}

}  // namespace

LabelledBatch make_batch(std::span<const int64_t> indices, const Dataset& dataset, at::Device device) {
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
    batch.real_tokens += example.tokens();
  }
  batch.tokens = {.ids = to_tensor(ids, device), .segments = Segments(lengths)};
  batch.rows = to_tensor(rows, device);
  batch.targets = to_tensor(targets, device);
  return batch;
}

}  // namespace excitor
