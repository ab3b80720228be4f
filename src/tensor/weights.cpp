#include <excitor/tensor/weights.h>

#include <algorithm>
#include <cstring>

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <excitor/tensor/device_copy.h>
#include <excitor/tensor/mapped_tensor.h>
#include <excitor/util/error.h>

#include "safetensors_header.h"

namespace excitor {
namespace {

/// So much of a file is converted before its pages are released.
constexpr int64_t kChunkBytes = 4 << 20;

/// ATen converts between float16 and bfloat16 one by one, but each to and from float by vectors: so through a
/// float buffer that stays in the cache. Small ones do not fragment the heap between the weights, either.
void copy_through_float(const at::Tensor& target, const at::Tensor& source) {
  constexpr int64_t kBufferElements = 1 << 14;
  const int64_t rows = std::max<int64_t>(kBufferElements * source.size(0) / source.numel(), 1);
  at::parallel_for(0, source.size(0), rows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += rows) {
      const int64_t count = std::min(rows, end - row);
      target.narrow(0, row, count).copy_(source.narrow(0, row, count).to(at::kFloat));
    }
  });
}

/// `target` has the part's sizes. The chunks are pieces of the first dimension.
void copy_and_release(const at::Tensor& target, const at::Tensor& part) {
  if (part.numel() == 0) return;
  const bool between_halves =
      part.scalar_type() != target.scalar_type() && part.element_size() == 2 && target.element_size() == 2;
  const int64_t rows = std::max<int64_t>(part.size(0) * kChunkBytes / static_cast<int64_t>(part.nbytes()), 1);
  for (int64_t row = 0; row < part.size(0); row += rows) {
    const int64_t count = std::min(rows, part.size(0) - row);
    const at::Tensor from = part.narrow(0, row, count), to = target.narrow(0, row, count);
    if (between_halves && to.is_cpu())
      copy_through_float(to, from);
    else
      to.copy_(from);
    release_pages(from);
  }
}

/// Dimensions of a part that stand for the first one of the weight.
int64_t row_dimensions(const WeightParts& weight, const at::Tensor& part) {
  return part.dim() - static_cast<int64_t>(weight.shape.size()) + 1;
}

/// How far a part reaches along the dimension in which parts follow each other.
int64_t part_size(const WeightParts& weight, const at::Tensor& part) {
  if (weight.dimension != 0) return part.size(weight.dimension);
  int64_t size = 1;
  for (int64_t d = 0; d < row_dimensions(weight, part); ++d) size *= part.size(d);
  return size;
}

/// Row `row` of a part whose rows may be spread over several dimensions.
at::Tensor part_row(const WeightParts& weight, at::Tensor part, int64_t row) {
  int64_t rows = part_size(weight, part);
  for (int64_t d = row_dimensions(weight, part); d > 0; --d) {
    rows /= part.size(0);
    part = part.select(0, row / rows);
    row %= rows;
  }
  return part;
}

/// One row (an element of the first dimension) of the weight, contiguous.
at::Tensor weight_row(const WeightParts& weight, int64_t row) {
  if (weight.dimension != 0) {
    std::vector<at::Tensor> pieces;
    for (const at::Tensor& part : weight.parts) pieces.push_back(part.select(0, row));
    return at::cat(pieces, weight.dimension - 1);
  }
  auto part = weight.parts.begin();
  for (; row >= part_size(weight, *part); ++part) row -= part_size(weight, *part);
  return part_row(weight, *part, row).contiguous();
}

/// Whether the weight lies in one piece as a reader expects it.
bool is_plain(const WeightParts& weight) {
  return weight.parts.size() == 1 && weight.parts.front().is_contiguous() &&
         weight.parts.front().sizes() == weight.shape;
}

const std::byte* data_of(const at::Tensor& tensor) {
  return static_cast<const std::byte*>(tensor.const_data_ptr());
}

}  // namespace

const StoredWeight& Weights::at(std::string_view name) const {
  const auto found = weights_.find(name);
  if (found != weights_.end()) return found->second;
  throw CheckpointError(
      fmt::format("{}: there is no tensor {} among its {}; use the files that belong to this model",
                  folder_.string(), quote_name(name), weights_.size()));
}

size_t WeightParts::byte_size() const {
  size_t elements = 1;
  for (const int64_t size : shape) elements *= static_cast<size_t>(size);
  return elements * c10::elementSize(type());
}

std::vector<std::byte> WeightParts::read(size_t begin, size_t count) const {
  std::vector<std::byte> bytes(count);
  if (count == 0) return bytes;
  if (is_plain(*this)) {
    std::memcpy(bytes.data(), data_of(parts.front()) + begin, count);
    return bytes;
  }
  const size_t row_bytes = byte_size() / static_cast<size_t>(shape.at(0));
  for (size_t done = 0; done < count;) {
    const size_t at = begin + done, within = at % row_bytes;
    const at::Tensor row = weight_row(*this, static_cast<int64_t>(at / row_bytes));
    const size_t step = std::min(count - done, row_bytes - within);
    std::memcpy(bytes.data() + done, data_of(row) + within, step);
    done += step;
  }
  return bytes;
}

at::Tensor load_weight(const StoredWeight& weight, at::ScalarType type, at::Device device) {
  WeightParts stored = weight.parts();
  for (at::Tensor& part : stored.parts) part = stage_to_device(part, device);
  if (is_plain(stored) && stored.type() == type) return stored.parts.front();
  at::Tensor loaded = at::empty(stored.shape, at::TensorOptions(type).device(device));
  if (loaded.dim() == 0) return loaded.copy_(stored.parts.front());
  int64_t begin = 0;
  for (const at::Tensor& part : stored.parts) {
    const int64_t size = part_size(stored, part);
    const at::Tensor target = loaded.narrow(stored.dimension, begin, size);
    copy_and_release(stored.dimension == 0 ? target.view(part.sizes()) : target, part);
    begin += size;
  }
  return loaded;
}

}  // namespace excitor
