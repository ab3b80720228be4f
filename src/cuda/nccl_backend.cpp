#include "nccl_backend.h"

#include <cstdlib>
#include <stdexcept>
#include <vector>

#include <ATen/ops/ones.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/NCCLUtils.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

namespace excitor {

std::string linked_nccl_version() {
  return c10d::getNcclVersion();
}

c10::intrusive_ptr<c10d::Backend> make_nccl_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    const NcclMember& member) {
  // A wait() that returns when the operation is done, and throws in this thread after the time limit: else
  // c10d's watchdog ends the process before a checkpoint is saved and the missing process is named.
  setenv("TORCH_NCCL_BLOCKING_WAIT", "1", /*overwrite=*/0);
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = member.time_limit;
  auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, static_cast<int>(member.rank),
                                                             static_cast<int>(member.size), options);
  // Barriers run there too; they have no tensor that would tell.
  backend->setBoundDeviceId(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(member.gpu)));
  return backend;
}

void try_nccl_alone(int64_t gpu) {
  constexpr int64_t kNumbers = 1 << 20;
  const auto backend =
      make_nccl_backend(c10::make_intrusive<c10d::HashStore>(), {.rank = 0, .size = 1, .gpu = gpu});
  const at::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(gpu));
  std::vector<at::Tensor> numbers{at::ones({kNumbers}, at::TensorOptions(at::kFloat).device(device))};
  backend->allreduce(numbers)->wait();
  if (numbers[0].sum().item<double>() != kNumbers)
    throw std::runtime_error("NCCL adds up numbers of one process to something else");
}

}  // namespace excitor
