// How fast the GPUs of this machine are, through ATen alone but for waiting for them.
#include <chrono>

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include <excitor/util/error.h>

#include "machine.h"

namespace excitor {
namespace {

/// Calls `work` for about `seconds`, after once to prepare it; returns the calls a second.
template <class Work>
double calls_per_second(const ComputeDevice& device, double seconds, const Work& work) {
  using Clock = std::chrono::steady_clock;
  work();
  device.cuda->synchronise(device.gpu());
  const auto begin = Clock::now();
  std::chrono::duration<double> passed{};
  int64_t calls = 0;
  for (; passed.count() < seconds; passed = Clock::now() - begin, ++calls) {
    work();
    device.cuda->synchronise(device.gpu());
  }
  return static_cast<double>(calls) / passed.count();
}

Gpu try_gpu(const ComputeDevice& device, double seconds) {
  constexpr int64_t kSize = 4096, kBytes = int64_t{256} << 20;
  Gpu gpu{.properties = device.cuda->properties(device.gpu())};
  const at::Tensor ones = at::ones({kSize, kSize}, at::TensorOptions(at::kBFloat16).device(device.device));
  gpu.correct = (at::mm(ones, ones) == static_cast<double>(kSize)).all().item<bool>();
  const double products = calls_per_second(device, seconds, [&] { at::mm(ones, ones); });
  gpu.bf16_tflops = 2.0 * kSize * kSize * kSize * products / 1e12;
  const at::Tensor host = at::empty({kBytes}, at::TensorOptions(at::kByte).pinned_memory(true));
  const at::Tensor there = at::empty({kBytes}, at::TensorOptions(at::kByte).device(device.device));
  const double copies = calls_per_second(device, seconds, [&] { there.copy_(host, /*non_blocking=*/true); });
  gpu.from_host_gb_per_s = static_cast<double>(kBytes) * copies / 1e9;
  if (device.gpu() == 0) return gpu;
  const at::Tensor on_first =
      at::empty({kBytes}, at::TensorOptions(at::kByte).device(c10::Device(c10::kCUDA, 0)));
  const double moves = calls_per_second(device, seconds, [&] { there.copy_(on_first); });
  gpu.from_first_gb_per_s = static_cast<double>(kBytes) * moves / 1e9;
  return gpu;
}

}  // namespace

Cuda inspect_gpus(double seconds) {
  Cuda cuda{.state = inspect_cuda(), .gpus = {}, .nccl = {}, .problem = {}};
  cuda.problem = cuda.state.problem;
  if (!cuda.problem.empty()) return cuda;
  try {
    for (int64_t gpu = 0; gpu < cuda.state.gpus; ++gpu) {
      const ComputeDevice device = open_gpu(gpu);
      cuda.nccl = device.cuda->nccl_version();
      cuda.gpus.push_back(try_gpu(device, seconds));
      device.cuda->try_nccl(gpu);
    }
  } catch (const std::exception& error) {
    const std::string text = error.what();
    cuda.problem = text.substr(0, text.find('\n'));  // c10's errors carry a stack behind the first line
  }
  return cuda;
}

}  // namespace excitor
