#include <excitor/tensor/mapped_tensor.h>

#include <cstring>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <sys/mman.h>
#include <unistd.h>

namespace excitor {
namespace {

/// Its address in a storage tells that the storage lies in a mapped file.
void drop_file(void* context) {
  delete static_cast<std::shared_ptr<const MappedFile>*>(context);
}

bool is_aligned(const std::byte* data, size_t bytes) {
  return reinterpret_cast<uintptr_t>(data) % bytes == 0;
}

/// Bytes from the first to the last element of a tensor that is not empty.
size_t extent_bytes(const at::Tensor& tensor) {
  int64_t last = 0;
  for (int64_t d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.stride(d);
  return static_cast<size_t>(last + 1) * tensor.element_size();
}

}  // namespace

at::Tensor tensor_over_file(std::shared_ptr<const MappedFile> file, std::span<const std::byte> data,
                            const std::vector<int64_t>& shape, at::ScalarType type) {
  if (!data.empty() && is_aligned(data.data(), c10::elementSize(type))) {
    auto* context = new std::shared_ptr<const MappedFile>(std::move(file));
    return at::for_blob(const_cast<std::byte*>(data.data()), shape)
        .context(context, &drop_file)
        .options(type)
        .make_tensor();
  }
  at::Tensor copy = at::empty(shape, type);
  if (!data.empty()) std::memcpy(copy.mutable_data_ptr(), data.data(), data.size());
  return copy;
}

void release_pages(const at::Tensor& tensor) {
  if (tensor.numel() == 0 || tensor.storage().data_ptr().get_deleter() != &drop_file) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  const uintptr_t first = begin / page * page;
  ::madvise(reinterpret_cast<void*>(first), begin + extent_bytes(tensor) - first, MADV_DONTNEED);
}

}  // namespace excitor
