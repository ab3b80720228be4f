// What the machine is that the program runs on, and how fast it multiplies.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <c10/core/ScalarType.h>

#include <excitor/device/device.h>

namespace excitor {

struct Cpu {
  std::string model;
  int64_t cores = 0;         ///< of the machine
  int64_t usable_cores = 0;  ///< that this process may run on
  /// Instruction sets that matter for matrix products, and whether they are there.
  std::vector<std::pair<std::string, bool>> instructions;
  bool has(const std::string& instruction) const;
};
Cpu inspect_cpu();

struct Storage {
  std::string path;
  int64_t free_bytes = 0;
};
/// The file system of a path that exists.
Storage inspect_storage(const std::filesystem::path& path);

/// Memory of the machine, in bytes.
int64_t total_memory_bytes();

/// Variables of the environment that decide how many threads compute and how they wait; nothing where unset.
std::vector<std::pair<std::string, std::optional<std::string>>> thread_environment();

/// A GPU at work.
struct Gpu {
  GpuProperties properties;
  double bf16_tflops = 0;          ///< of matrix products [4096,4096]
  bool correct = false;            ///< the product of known matrices was what it must be
  double from_host_gb_per_s = 0;   ///< copying page-locked memory to it
  double from_first_gb_per_s = 0;  ///< copying memory of GPU 0 to it; 0 for GPU 0 itself
};
/// What there is of CUDA, and what the GPUs do.
struct Cuda {
  CudaState state;
  std::vector<Gpu> gpus;
  std::string nccl;     ///< version; empty where no GPU was opened
  std::string problem;  ///< why no GPU can compute; empty when all can
};
/// Tries each GPU, for about `seconds`.
Cuda inspect_gpus(double seconds);

/// Rate of matrix products of one type.
struct MatmulRate {
  double gflops = 0;
  bool correct = false;  ///< the product of known matrices was what it must be
};
/// Multiplies [1024,1024] matrices as training does, for about `seconds`.
MatmulRate measure_matmul(at::ScalarType type, double seconds);

}  // namespace excitor
