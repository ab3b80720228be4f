#include <excitor/tensor/segments.h>

#include <ATen/ops/empty.h>

#include <excitor/tensor/device_copy.h>

namespace excitor {

const at::Tensor& Segments::boundaries(at::Device device) const {
  if (boundaries_.defined() && boundaries_.device() == device) return boundaries_;
  const at::Tensor host = at::empty({static_cast<int64_t>(begins_.size())}, at::kInt);
  std::copy(begins_.begin(), begins_.end(), host.mutable_data_ptr<int32_t>());
  return boundaries_ = copy_to_device(host, device);
}

}  // namespace excitor
