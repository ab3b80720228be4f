// From main memory to the device that computes.
#pragma once

#include <ATen/core/Tensor.h>

namespace excitor {

/// `host` on `device`: itself on a CPU. To a GPU it goes through page-locked memory, in the order of the
/// GPU's work and without waiting for it, so that the CPU can run ahead. `host` may be dropped or changed at
/// once.
at::Tensor copy_to_device(const at::Tensor& host, at::Device device);

/// A large tensor that lies in a mapped file, of any strides, on `device`. To a GPU two page-locked buffers
/// are filled in turn, by all threads, while the GPU takes the other one.
at::Tensor stage_to_device(const at::Tensor& mapped, at::Device device);

}  // namespace excitor
