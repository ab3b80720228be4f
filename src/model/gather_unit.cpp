#include "gather_unit.h"

#include <algorithm>
#include <string_view>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <excitor/tensor/mapped_tensor.h>

namespace excitor {
namespace {

/// Matrices and parts begin at multiples of so many elements: 64 bytes of the narrowest type, as allocators
/// align.
constexpr int64_t kAlignment = 32;
/// So much is copied before the pages that were read are released.
constexpr int64_t kChunkElements = 1 << 20;

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// "model.layers.3" for the weights of that layer, else the name itself.
std::string_view unit_name(std::string_view name) {
  constexpr std::string_view kLayers = "model.layers.";
  return name.starts_with(kLayers) ? name.substr(0, name.find('.', kLayers.size())) : name;
}

/// The elements that a matrix and a part have in common.
struct Overlap {
  int64_t in_matrix = 0;
  int64_t in_part = 0;
  int64_t count = 0;  ///< not above 0: none
};

Overlap overlap_of(const GatherUnit::Matrix& matrix, int64_t part_begin, int64_t part_size) {
  const int64_t begin = std::max(matrix.begin, part_begin);
  const int64_t end = std::min(matrix.begin + matrix.numel(), part_begin + part_size);
  return {.in_matrix = begin - matrix.begin, .in_part = begin - part_begin, .count = end - begin};
}

/// The weight as one vector of its file, or an undefined tensor where the file holds another type or order.
at::Tensor mapped_vector(const WeightParts& weight, at::ScalarType type) {
  const at::Tensor& first = weight.parts.front();
  const bool plain = weight.parts.size() == 1 && first.is_contiguous() && first.sizes() == weight.shape;
  return plain && weight.type() == type ? first.view({-1}) : at::Tensor();
}

/// Converts elements [begin, begin + target's) of a weight, whatever files hold it.
void convert_elements(const WeightParts& weight, int64_t begin, const at::Tensor& target) {
  const auto size = static_cast<int64_t>(c10::elementSize(weight.type()));
  for (int64_t done = 0; done < target.numel(); done += kChunkElements) {
    const int64_t count = std::min(kChunkElements, target.numel() - done);
    std::vector<std::byte> bytes =
        weight.read(static_cast<size_t>((begin + done) * size), static_cast<size_t>(count * size));
    target.narrow(0, done, count).copy_(at::from_blob(bytes.data(), {count}, weight.type()));
    for (const at::Tensor& part : weight.parts) release_pages(part);
  }
}

}  // namespace

std::vector<GatherUnit> lay_out_units(const std::vector<WeightShape>& weights, int64_t processes) {
  std::vector<GatherUnit> units;
  for (const auto& [name, shape] : weights) {
    if (shape.size() != 2) continue;
    if (units.empty() || unit_name(units.back().matrices.back().name) != unit_name(name))
      units.emplace_back();
    auto& matrices = units.back().matrices;
    const int64_t begin =
        matrices.empty() ? 0 : round_up(matrices.back().begin + matrices.back().numel(), kAlignment);
    matrices.push_back({name, shape, begin});
  }
  for (GatherUnit& unit : units) {
    const GatherUnit::Matrix& last = unit.matrices.back();
    unit.part = round_up(round_up(last.begin + last.numel(), processes) / processes, kAlignment);
  }
  return units;
}

UnitPart::UnitPart(const GatherUnit& unit, int64_t rank, const Weights& files, PartOptions options)
    : options_(options), size_(unit.part) {
  const int64_t begin = rank * unit.part;
  bool stays_mapped = options.device.is_cpu();
  for (const GatherUnit::Matrix& matrix : unit.matrices) {
    const Overlap common = overlap_of(matrix, begin, size_);
    if (common.count <= 0) continue;
    const at::Tensor all = mapped_vector(files.at(matrix.name).parts(), options.type);
    stays_mapped = stays_mapped && all.defined();
    if (stays_mapped) pieces_.push_back({all.narrow(0, common.in_matrix, common.count), common.in_part});
  }
  if (stays_mapped) return;
  pieces_.clear();
  values_ = at::zeros({size_}, this->options());
  for (const GatherUnit::Matrix& matrix : unit.matrices) {
    const Overlap common = overlap_of(matrix, begin, size_);
    if (common.count <= 0) continue;
    convert_elements(files.at(matrix.name).parts(), common.in_matrix,
                     values_.narrow(0, common.in_part, common.count));
  }
}

void UnitPart::write_to(const at::Tensor& target) const {
  if (values_.defined()) {
    target.copy_(values_);
    return;
  }
  int64_t filled = 0;
  for (const Piece& piece : pieces_) {
    target.narrow(0, filled, piece.begin - filled).zero_();
    for (int64_t done = 0; done < piece.values.numel(); done += kChunkElements) {
      const int64_t count = std::min(kChunkElements, piece.values.numel() - done);
      const at::Tensor chunk = piece.values.narrow(0, done, count);
      target.narrow(0, piece.begin + done, count).copy_(chunk);
      release_pages(chunk);
    }
    filled = piece.begin + piece.values.numel();
  }
  target.narrow(0, filled, size_ - filled).zero_();
}

}  // namespace excitor
