// Where a process computes: the CPU, or a GPU through the CUDA module.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <c10/core/Device.h>

#include <excitor/device/cuda_module.h>

namespace excitor {

/// A device that is ready for tensors.
struct ComputeDevice {
  c10::Device device = c10::kCPU;
  CudaModule* cuda = nullptr;  ///< null on the CPU

  int64_t gpu() const { return device.index(); }
};

/// What of CUDA is there, found without loading any of its libraries but the driver's.
struct CudaState {
  bool driver = false;                          ///< libcuda.so.1 is there and works
  int64_t gpus = 0;                             ///< that it offers to this process
  std::optional<std::filesystem::path> module;  ///< libexcitor_cuda.so, beside the program or in ../lib
  /// Why nothing can be computed on a GPU here, and what to do; empty when it can.
  std::string problem;
};
CudaState inspect_cuda();

/// Loads libexcitor_cuda.so and with it LibTorch's CUDA libraries. Must come before the first use of a GPU by
/// ATen, which looks for them once. Throws ConfigError: what is missing and the command that mends it.
CudaModule& load_cuda_module();

/// GPU `gpu`, ready and chosen for this thread. Throws ConfigError that says why there is none of that
/// number.
ComputeDevice open_gpu(int64_t gpu);

/// The device that "auto" (a GPU if it can be used, with a warning where only part of CUDA is there), "cpu",
/// "cuda" or "cuda:1" names, as commands take it with --device. Throws ConfigError for other words, and as
/// open_gpu.
ComputeDevice open_device(const std::string& name);

}  // namespace excitor
