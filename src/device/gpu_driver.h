// NVIDIA's driver, asked through its own library: whether it works, and for how many GPUs.
#pragma once

#include <cstdint>
#include <string>

namespace excitor {

struct GpuDriver {
  bool works = false;
  int64_t gpus = 0;
  std::string problem;  ///< why there is no GPU, and what to do; empty when there is one
};

/// Starts the driver in this process, which takes no memory on a GPU. Asked once; later calls cost nothing.
const GpuDriver& gpu_driver();

}  // namespace excitor
