// The frozen matrices that are gathered together, and the part of them that a process holds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/model/llama.h>
#include <excitor/tensor/weights.h>

namespace excitor {

/// The matrices of a decoder layer, the embedding, or the output layer, one behind the other in a flat vector
/// that n processes hold in equal parts.
struct GatherUnit {
  struct Matrix {
    std::string name;            ///< Hugging Face's
    std::vector<int64_t> shape;  ///< [out,in]
    int64_t begin = 0;           ///< its first element in the vector
    int64_t numel() const { return shape[0] * shape[1]; }
  };
  std::vector<Matrix> matrices;
  int64_t part = 0;  ///< elements that a process holds; the vector has n times as many
};

/// All matrices among `weights` in units, in the order in which a forward pass asks for them.
std::vector<GatherUnit> lay_out_units(const std::vector<WeightShape>& weights, int64_t processes);

/// Type and place of the gathered matrices.
struct PartOptions {
  at::ScalarType type = at::kFloat;
  at::Device device = at::kCPU;
};

/// What one process holds of a unit. On a CPU a part that its files store in the wanted type and order stays
/// in their mapping: its pages are given back to the system's cache after each use. Any other is converted
/// once, chunk by chunk, and stays in memory.
class UnitPart {
 public:
  /// Elements [rank·part, (rank+1)·part) of `unit`. Throws as Weights::at.
  UnitPart(const GatherUnit& unit, int64_t rank, const Weights& files, PartOptions options);

  int64_t size() const { return size_; }
  at::TensorOptions options() const { return at::TensorOptions(options_.type).device(options_.device); }
  /// Writes the part to `target` [part], of the options' type and device.
  void write_to(const at::Tensor& target) const;

 private:
  /// Elements of the part as they lie in a mapped file.
  struct Piece {
    at::Tensor values;  // [n]
    int64_t begin = 0;  ///< in the part
  };

  PartOptions options_;
  int64_t size_;
  at::Tensor values_;          // [part], or undefined: in pieces
  std::vector<Piece> pieces_;  ///< of a part that stays in the mapping; what lies between them is padding
};

}  // namespace excitor
