// c10d's backend over NCCL.
#pragma once

#include <string>

#include <excitor/device/cuda_module.h>

namespace excitor {

/// See CudaModule.
std::string linked_nccl_version();
void try_nccl_alone(int64_t gpu);
c10::intrusive_ptr<c10d::Backend> make_nccl_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    const NcclMember& member);

}  // namespace excitor
