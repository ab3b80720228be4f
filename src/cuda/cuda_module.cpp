// libexcitor_cuda.so: GPUs and their memory, through c10's functions for CUDA. Headers of CUDA stand in this
// folder alone.
#include <excitor/device/cuda_module.h>

#include <cstring>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContextLight.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <excitor/version.h>

#include "nccl_backend.h"

namespace excitor {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

c10::DeviceIndex index_of(int64_t gpu) {
  return static_cast<c10::DeviceIndex>(gpu);
}

class LoadedCudaModule final : public CudaModule {
 public:
  int64_t gpus() const override { return c10::cuda::device_count_ensure_non_zero(); }
  void use(int64_t gpu) override { c10::cuda::set_device(index_of(gpu)); }

  GpuProperties properties(int64_t gpu) const override {
    start_allocator();
    const cudaDeviceProp& device = *at::cuda::getDeviceProperties(index_of(gpu));
    const auto [free, total] = allocator::get()->getMemoryInfo(index_of(gpu));
    return {.name = device.name,
            .compute_capability = std::to_string(device.major) + "." + std::to_string(device.minor),
            .multiprocessors = device.multiProcessorCount,
            .total_bytes = static_cast<int64_t>(total),
            .free_bytes = static_cast<int64_t>(free)};
  }

  GpuMemory memory(int64_t gpu) const override {
    start_allocator();
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const auto stats = allocator::getDeviceStats(index_of(gpu));
    return {.allocated = stats.allocated_bytes[kAll].current,
            .peak_allocated = stats.allocated_bytes[kAll].peak,
            .peak_reserved = stats.reserved_bytes[kAll].peak};
  }

  void reset_peak(int64_t gpu) override {
    start_allocator();
    allocator::resetPeakStats(index_of(gpu));
  }

  void limit_memory(int64_t gpu, double share) override {
    start_allocator();
    allocator::setMemoryFraction(share, index_of(gpu));
  }

  void synchronise(int64_t gpu) override {
    const c10::DeviceGuard guard(c10::Device(c10::kCUDA, index_of(gpu)));
    c10::cuda::device_synchronize();
  }

  std::string nccl_version() const override { return linked_nccl_version(); }
  void try_nccl(int64_t gpu) override { try_nccl_alone(gpu); }
  c10::intrusive_ptr<c10d::Backend> connect_nccl(const c10::intrusive_ptr<c10d::Store>& store,
                                                 const NcclMember& member) override {
    return make_nccl_backend(store, member);
  }

 private:
  /// The allocator knows no GPU before ATen has started CUDA.
  static void start_allocator() { at::globalContext().lazyInitDevice(c10::kCUDA); }
};

}  // namespace
}  // namespace excitor

extern "C" __attribute__((visibility("default"))) excitor::CudaModule* excitor_cuda_module(
    const char* version) {
  if (std::strcmp(version, excitor::kVersion) != 0) return nullptr;
  static excitor::LoadedCudaModule module;
  return &module;
}
