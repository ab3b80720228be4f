#include <excitor/tensor/device_copy.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <excitor/tensor/mapped_tensor.h>

namespace excitor {
namespace {

constexpr int64_t kBufferBytes = int64_t{64} << 20;

/// Page-locked memory that is filled again only once the GPU has taken what was there.
class StagingBuffer {
 public:
  explicit StagingBuffer(at::Device device)
      : device_(device),
        memory_(at::empty({kBufferBytes}, at::TensorOptions(at::kByte).pinned_memory(true))),
        taken_(device.type()) {}

  /// target and source: [n] bytes, n <= kBufferBytes.
  void send(const at::Tensor& target, const at::Tensor& source) {
    constexpr int64_t kBytesPerThread = 1 << 20;
    if (taken_.was_marked_for_recording()) taken_.synchronize();
    const auto* const from = source.const_data_ptr<uint8_t>();
    auto* const to = memory_.mutable_data_ptr<uint8_t>();
    at::parallel_for(0, source.numel(), kBytesPerThread, [&](int64_t begin, int64_t end) {
      std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
    });
    target.copy_(memory_.narrow(0, 0, source.numel()), /*non_blocking=*/true);
    taken_.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  }

 private:
  at::Device device_;
  at::Tensor memory_;  // [kBufferBytes]
  c10::Event taken_;
};

}  // namespace

at::Tensor copy_to_device(const at::Tensor& host, at::Device device) {
  if (device.is_cpu()) return host;
  return host.pin_memory().to(device, /*non_blocking=*/true);
}

at::Tensor stage_to_device(const at::Tensor& mapped, at::Device device) {
  if (device.is_cpu()) return mapped;
  const at::Tensor source = mapped.contiguous();
  at::Tensor result = at::empty(source.sizes(), source.options().device(device));
  if (source.numel() == 0) return result;
  const at::Tensor from = source.view({-1}).view(at::kByte), to = result.view({-1}).view(at::kByte);
  std::array<StagingBuffer, 2> buffers{StagingBuffer(device), StagingBuffer(device)};
  for (int64_t begin = 0, turn = 0; begin < from.numel(); begin += kBufferBytes, turn ^= 1) {
    const int64_t bytes = std::min(kBufferBytes, from.numel() - begin);
    buffers[turn].send(to.narrow(0, begin, bytes), from.narrow(0, begin, bytes));
    release_pages(from.narrow(0, begin, bytes));
  }
  return result;
}

}  // namespace excitor
