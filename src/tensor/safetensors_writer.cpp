#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

#include <c10/core/ScalarType.h>
#include <c10/util/accumulate.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/dtype.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/json.h>

#include "safetensors_header.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
constexpr size_t kDataAlignment = 64;

using Order = std::vector<const PlannedTensor*>;

std::string json_string(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Tensors that are there already, as a plan.
std::vector<PlannedTensor> plan(const std::vector<NamedTensor>& tensors) {
  std::vector<PlannedTensor> planned;
  planned.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.defined())
      throw std::logic_error("write_safetensors: an undefined tensor " + quote_name(name));
    planned.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), [&tensor] { return tensor; }});
  }
  return planned;
}

void check_tensors(const std::vector<PlannedTensor>& tensors) {
  std::set<std::string_view> names{kMetadataKey};
  for (const PlannedTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      throw std::logic_error("write_safetensors: a second tensor " + quote_name(tensor.name));
    if (find_storage_type(tensor.type) == nullptr) {
      throw std::logic_error(fmt::format("write_safetensors: {} is {}, which the format does not have",
                                         quote_name(tensor.name), dtype_name(tensor.type)));
    }
  }
}

uint64_t size_in_bytes(const PlannedTensor& tensor) {
  return c10::multiply_integers(tensor.shape) * c10::elementSize(tensor.type);
}

/// The reference writer's order, which keeps every tensor aligned for its type: wide elements first, then by
/// name.
Order storage_order(const std::vector<PlannedTensor>& tensors) {
  Order order;
  order.reserve(tensors.size());
  for (const PlannedTensor& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, [](const PlannedTensor* a, const PlannedTensor* b) {
    const auto a_bytes = c10::elementSize(a->type);
    const auto b_bytes = c10::elementSize(b->type);
    return a_bytes != b_bytes ? a_bytes > b_bytes : a->name < b->name;
  });
  return order;
}

std::string metadata_json(std::map<std::string, std::string> metadata) {
  metadata.emplace("format", "pt");  // older versions of transformers refuse a file without it
  std::vector<std::string> entries;
  for (const auto& [key, value] : metadata) entries.push_back(json_string(key) + ":" + json_string(value));
  return fmt::format("{}:{{{}}}", json_string(std::string(kMetadataKey)), fmt::join(entries, ","));
}

std::string header_json(const Order& order, const std::map<std::string, std::string>& metadata) {
  std::string json = "{" + metadata_json(metadata);
  uint64_t begin = 0;
  for (const PlannedTensor* tensor : order) {
    const uint64_t end = begin + size_in_bytes(*tensor);
    json +=
        fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", json_string(tensor->name),
                    find_storage_type(tensor->type)->name, fmt::join(tensor->shape, ","), begin, end);
    begin = end;
  }
  return json + "}";
}

void write_length(AtomicFile& file, uint64_t length) {
  std::array<std::byte, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(length >> (8 * i));
  file.write(bytes);
}

void write_data(AtomicFile& file, const PlannedTensor& planned) {
  const at::Tensor made = planned.make();
  if (made.scalar_type() != planned.type || made.sizes() != planned.shape)
    throw std::logic_error("write_safetensors: another type or shape than planned: " +
                           quote_name(planned.name));
  const at::Tensor data = made.detach().to(at::kCPU).contiguous();
  file.write({static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes()});
}

/// Tensors of one shard after the other, each in the given order: a shard is full when the next tensor would
/// exceed the limit. A tensor larger than the limit stands alone.
std::vector<std::vector<PlannedTensor>> split_into_shards(const std::vector<PlannedTensor>& tensors,
                                                          uint64_t max_bytes) {
  std::vector<std::vector<PlannedTensor>> shards(1);
  uint64_t size = 0;
  for (const PlannedTensor& tensor : tensors) {
    const uint64_t bytes = size_in_bytes(tensor);
    if (!shards.back().empty() && size + bytes > max_bytes) {
      shards.emplace_back();
      size = 0;
    }
    shards.back().push_back(tensor);
    size += bytes;
  }
  return shards;
}

std::string index_json(const std::map<std::string, std::string>& shard_of, uint64_t total_bytes) {
  Json index;
  index["metadata"]["total_size"] = total_bytes;
  index["weight_map"] = shard_of;
  return index.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// A single file and an index side by side would be read as the single file, whichever is the newer one.
void check_absent(const fs::path& path) {
  if (!fs::exists(path)) return;
  throw CheckpointError(
      fmt::format("{}: this folder already holds a model stored in another way; write into an empty "
                  "folder, or remove this file",
                  path.string()));
}

/// One file; the tensors are checked.
void write_shard(const fs::path& path, const std::vector<PlannedTensor>& tensors,
                 const std::map<std::string, std::string>& metadata = {}) {
  const Order order = storage_order(tensors);
  std::string header = header_json(order, metadata);
  const size_t used = (sizeof(uint64_t) + header.size()) % kDataAlignment;
  header.append((kDataAlignment - used) % kDataAlignment, ' ');
  AtomicFile file(path);
  write_length(file, header.size());
  file.write(header);
  for (const PlannedTensor* tensor : order) write_data(file, *tensor);
  file.commit();
}

}  // namespace

void write_safetensors(const fs::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<PlannedTensor> planned = plan(tensors);
  check_tensors(planned);
  write_shard(path, planned, metadata);
}

void write_safetensors_folder(const fs::path& folder, const std::string& stem,
                              const std::vector<NamedTensor>& tensors, uint64_t max_shard_bytes) {
  write_safetensors_folder(folder, stem, plan(tensors), max_shard_bytes);
}

void write_safetensors_folder(const fs::path& folder, const std::string& stem,
                              const std::vector<PlannedTensor>& tensors, uint64_t max_shard_bytes) {
  check_tensors(tensors);
  const fs::path single = folder / (stem + ".safetensors");
  const fs::path index = folder / (stem + ".safetensors.index.json");
  const auto shards = split_into_shards(tensors, max_shard_bytes);
  check_absent(shards.size() == 1 ? index : single);
  if (shards.size() == 1) return write_shard(single, tensors);

  std::map<std::string, std::string> shard_of;
  uint64_t total_bytes = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, shards.size());
    write_shard(folder / name, shards[i]);
    for (const PlannedTensor& tensor : shards[i]) {
      shard_of[tensor.name] = name;
      total_bytes += size_in_bytes(tensor);
    }
  }
  write_file_atomically(index, index_json(shard_of, total_bytes));
}

}  // namespace excitor
