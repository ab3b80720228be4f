#include <excitor/model/sharded_base.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "checkpoint_folder.h"
#include "gathered_units.h"

namespace excitor {
namespace {

/// A matrix inside a unit that is gathered for each operation.
class ShardedWeight : public LinearWeight {
 public:
  ShardedWeight(std::shared_ptr<GatheredUnits> units, int64_t unit, GatherUnit::Matrix place, at::Tensor bias)
      : units_(std::move(units)), unit_(unit), place_(std::move(place)), bias_(std::move(bias)) {}

  int64_t in_features() const override { return place_.shape[1]; }
  int64_t out_features() const override { return place_.shape[0]; }
  at::Tensor apply(const at::Tensor& x) const override { return gathered().apply(x); }
  at::Tensor apply_transposed(const at::Tensor& dy) const override { return gathered().apply_transposed(dy); }
  at::Tensor add_transposed(at::Tensor dx, const at::Tensor& dy) const override {
    return gathered().add_transposed(std::move(dx), dy);
  }
  at::Tensor rows(const at::Tensor& ids) const override { return gathered().rows(ids); }
  /// A copy: the unit is dropped when another is asked for.
  at::Tensor dense() const override { return gathered().weight().clone(); }
  at::Tensor bias() const override { return bias_; }

 private:
  /// The operations of a whole matrix, so that the bits are the same.
  Linear gathered() const {
    return Linear::dense(units_->whole(unit_).narrow(0, place_.begin, place_.numel()).view(place_.shape),
                         bias_);
  }

  std::shared_ptr<GatheredUnits> units_;
  int64_t unit_;
  GatherUnit::Matrix place_;
  at::Tensor bias_;  // [out] or undefined
};

}  // namespace

LoadedModel load_sharded_model(const std::filesystem::path& folder, at::ScalarType type,
                               const BaseShare& share, at::Device device) {
  if (share.processes == 1) return load_model(folder, type, device);
  const CheckpointFolder checkpoint = open_checkpoint_folder(folder);
  const std::vector<GatherUnit> units = lay_out_units(checkpoint.expected, share.processes);
  std::vector<UnitPart> parts;
  std::map<std::string, std::pair<int64_t, GatherUnit::Matrix>> places;
  for (const GatherUnit& unit : units) {
    for (const GatherUnit::Matrix& matrix : unit.matrices) {
      places.emplace(matrix.name, std::pair(static_cast<int64_t>(parts.size()), matrix));
    }
    parts.emplace_back(unit, share.rank, checkpoint.files, PartOptions{type, device});
  }
  const auto gathered = std::make_shared<GatheredUnits>(share, std::move(parts));
  const auto vector = [&](const std::string& name) { return checkpoint.load(name, type, device); };
  const auto linear = [&](const std::string& name, bool has_bias) {
    const auto& [unit, matrix] = places.at(name + ".weight");
    return Linear(std::make_shared<const ShardedWeight>(gathered, unit, matrix,
                                                        has_bias ? vector(name + ".bias") : at::Tensor()));
  };
  LlamaWeights weights = make_weights(checkpoint.config, linear, vector);
  weights.gathers = gathered;
  return checkpoint.with_weights(std::move(weights), type);
}

int64_t most_sharded_elements(const LlamaConfig& config, int64_t processes) {
  const std::vector<WeightShape> weights = weight_shapes(config);
  int64_t elements = 0, largest = 0, second = 0;
  for (const auto& [name, shape] : weights) elements += shape.size() == 1 ? shape[0] : 0;
  for (const GatherUnit& unit : lay_out_units(weights, processes)) {
    elements += unit.part;
    const int64_t whole = unit.part * processes;
    second = std::max(second, std::min(whole, largest));
    largest = std::max(largest, whole);
  }
  return elements + largest + second;
}

}  // namespace excitor
