#include <fmt/format.h>

#include <excitor/tensor/safetensors.h>
#include <excitor/tensor/torch_file.h>
#include <excitor/tensor/weights.h>
#include <excitor/util/error.h>

#include "shard_index.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// The tensors of one file by name.
std::map<std::string, at::Tensor> read_tensors(const fs::path& path) {
  std::map<std::string, at::Tensor> tensors;
  const TorchValue file = read_torch_file(path);
  for (const auto& [name, value] : file.dict()) tensors.emplace(name, value.tensor());
  return tensors;
}

void add_tensor(Weights& weights, const std::string& name, const at::Tensor& tensor, const fs::path& path) {
  weights.add(name, {.shape = tensor.sizes().vec(),
                     .dtype = safetensors_dtype(tensor.scalar_type()),
                     .path = path.string(),
                     .parts = [tensor] {
                       return WeightParts{tensor.sizes().vec(), {tensor}};
                     }});
}

}  // namespace

Weights torch_weights(const fs::path& folder, const std::string& stem) {
  Weights weights(folder);
  const fs::path single = folder / (stem + ".bin"), index = folder / (stem + ".bin.index.json");
  if (is_there(single)) {
    for (const auto& [name, tensor] : read_tensors(single)) add_tensor(weights, name, tensor, single);
    return weights;
  }
  const ShardOfTensor shard_of = read_shard_index(index);
  std::map<std::string, std::vector<std::string>> tensors_of_shard;
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& shard : shards_of(shard_of)) {
    for (const auto& [name, tensor] : read_tensors(folder / shard)) {
      tensors_of_shard[shard].push_back(name);
      tensors.emplace(name, tensor);
    }
  }
  check_shard_index(shard_of, index, tensors_of_shard);
  for (const auto& [name, shard] : shard_of) add_tensor(weights, name, tensors.at(name), folder / shard);
  return weights;
}

}  // namespace excitor
