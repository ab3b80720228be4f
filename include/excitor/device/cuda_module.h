// What needs CUDA's headers, behind an interface that does without them: libexcitor_cuda.so implements it and
// is loaded when a GPU is asked for (see device.h). Tensors on a GPU need none of it: they are ATen's.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <c10/util/intrusive_ptr.h>

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace excitor {

/// A GPU as its driver describes it.
struct GpuProperties {
  std::string name;
  std::string compute_capability;  ///< "9.0"
  int64_t multiprocessors = 0;
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;  ///< now, for all programs
};

/// Bytes of this process's tensors on one GPU, as ATen's caching allocator counts them.
struct GpuMemory {
  int64_t allocated = 0;
  int64_t peak_allocated = 0;  ///< since the start or the last reset_peak()
  int64_t peak_reserved = 0;   ///< with what the allocator keeps for later
};

/// A process of a group that NCCL connects.
struct NcclMember {
  int64_t rank = 0;
  int64_t size = 1;
  int64_t gpu = 0;
  std::chrono::milliseconds time_limit{600'000};
};

/// GPUs are numbered as CUDA_VISIBLE_DEVICES leaves them, from 0. All functions throw c10::Error with CUDA's
/// own words when the driver fails.
class CudaModule {
 public:
  virtual ~CudaModule() = default;

  virtual int64_t gpus() const = 0;
  /// Makes the GPU that of this thread: memory and kernels without an explicit device go there.
  virtual void use(int64_t gpu) = 0;
  virtual GpuProperties properties(int64_t gpu) const = 0;
  virtual GpuMemory memory(int64_t gpu) const = 0;
  virtual void reset_peak(int64_t gpu) = 0;
  /// ATen's allocator throws an out-of-memory error beyond this share (0 to 1) of the GPU's memory.
  virtual void limit_memory(int64_t gpu, double share) = 0;
  /// Returns once everything that was started on the GPU is done.
  virtual void synchronise(int64_t gpu) = 0;

  /// "2.28.9"
  virtual std::string nccl_version() const = 0;
  /// Adds up a tensor over a group of one process on the GPU. Throws c10::Error when NCCL fails, and
  /// std::runtime_error when the sum is wrong.
  virtual void try_nccl(int64_t gpu) = 0;
  /// c10d's NCCL backend over the group's store, once all processes are there. Its operations return when
  /// they are done, and throw after the time limit.
  virtual c10::intrusive_ptr<c10d::Backend> connect_nccl(const c10::intrusive_ptr<c10d::Store>& store,
                                                         const NcclMember& member) = 0;
};

/// The one function of the module, by this name: null when it was built for another version of the program.
/// The object lives as long as the process.
using CudaModuleEntry = CudaModule*(const char* version);
inline constexpr const char* kCudaModuleEntry = "excitor_cuda_module";

}  // namespace excitor
