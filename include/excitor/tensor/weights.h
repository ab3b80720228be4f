// Weights by name, whatever files hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace excitor {

/// A weight's content as views of mapped files: parts that follow each other along `dimension`. A part has
/// the sizes of its piece of the weight, or more dimensions, in row-major order, in place of the first (rows
/// that a view takes in another order than the file: [rows, columns] as [H, 2, d/2, columns]).
struct WeightParts {
  std::vector<int64_t> shape;  ///< of the whole weight
  std::vector<at::Tensor> parts;
  int64_t dimension = 0;

  at::ScalarType type() const { return parts.front().scalar_type(); }
  size_t byte_size() const;
  /// Bytes [begin, begin + count) of the weight as if it were stored in one piece, contiguously.
  std::vector<std::byte> read(size_t begin, size_t count) const;
};

struct StoredWeight {
  std::vector<int64_t> shape;
  std::string dtype;  ///< as safetensors spells it: "F32", "BF16", "F16", …
  std::string path;   ///< of the file, for messages
  /// Throws CheckpointError for a type that ATen does not have.
  std::function<WeightParts()> parts;
};

/// The weights of a folder. Copying copies no content.
class Weights {
 public:
  explicit Weights(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void add(std::string name, StoredWeight weight) {
    weights_.insert_or_assign(std::move(name), std::move(weight));
  }

  const std::filesystem::path& folder() const { return folder_; }
  const std::map<std::string, StoredWeight, std::less<>>& all() const { return weights_; }
  bool contains(std::string_view name) const { return weights_.find(name) != weights_.end(); }
  /// Throws CheckpointError when there is none.
  const StoredWeight& at(std::string_view name) const;

 private:
  std::filesystem::path folder_;
  std::map<std::string, StoredWeight, std::less<>> weights_;
};

/// Weights in `stem`.safetensors or its shards. Throws as SafetensorsFolder.
Weights safetensors_weights(const std::filesystem::path& folder, const std::string& stem);

/// Weights in `stem`.bin or its shards, files of torch.save that hold one dict of tensors. Throws
/// CheckpointError as read_torch_file, and as SafetensorsFolder for the index and its shards.
Weights torch_weights(const std::filesystem::path& folder, const std::string& stem);

/// The weight in `type`. One that is stored so, in one piece, stays in its mapped file (never write to it);
/// any other is written once into new memory, by all threads, and the pages that were read are released on
/// the way.
///
/// On a GPU it is copied there in its stored type, through page-locked memory, and converted there.
at::Tensor load_weight(const StoredWeight& weight, at::ScalarType type, at::Device device = at::kCPU);

}  // namespace excitor
