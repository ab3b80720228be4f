// Tensors whose data lie in a memory-mapped file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/util/files.h>

namespace excitor {

/// A contiguous tensor over `data`, bytes of `file`, which lives as long as the tensor's storage. `data` must
/// have the size of the shape and need not be aligned: a copy is made where the type asks for more. Never
/// write to the tensor: the mapping is read-only.
at::Tensor tensor_over_file(std::shared_ptr<const MappedFile> file, std::span<const std::byte> data,
                            const std::vector<int64_t>& shape, at::ScalarType type);

/// Takes the pages that `tensor` (a tensor or a view) spans out of this process's memory when it lies in a
/// mapped file: they stay in the system's cache and come back when touched. Other tensors are left alone.
void release_pages(const at::Tensor& tensor);

}  // namespace excitor
