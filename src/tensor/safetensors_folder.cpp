#include <algorithm>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>

#include "safetensors_header.h"
#include "shard_index.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;
using Shards = std::map<std::string, std::shared_ptr<const SafetensorsFile>, std::less<>>;

/// Files in `folder` that may hold weights, for the message that ours are missing.
std::vector<std::string> weight_files(const fs::path& folder) {
  static const std::set<std::string> kEndings{".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".gguf"};
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (kEndings.contains(entry.path().extension().string()))
      names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

[[noreturn]] void fail_no_weights(const fs::path& folder, const std::string& stem) {
  if (std::error_code error; !fs::is_directory(folder, error)) {
    throw CheckpointError(
        fmt::format("{}: there is no such folder; expected one with {}.safetensors", folder.string(), stem));
  }
  const std::vector<std::string> others = weight_files(folder);
  throw CheckpointError(
      fmt::format("{}: neither {}.safetensors nor {}.safetensors.index.json is there; found {}. Download the "
                  "safetensors files, or "
                  "convert these weights (Hugging Face transformers: save_pretrained)",
                  folder.string(), stem, stem,
                  others.empty() ? "no weights" : fmt::format("{}", fmt::join(others, ", "))));
}

Shards open_shards(const ShardOfTensor& shard_of, const fs::path& folder, const fs::path& index) {
  Shards shards;
  std::map<std::string, std::vector<std::string>> tensors_of_shard;
  for (const std::string& shard : shards_of(shard_of)) {
    const auto file = SafetensorsFile::open(folder / shard);
    for (const auto& [tensor, stored] : file->tensors()) tensors_of_shard[shard].push_back(tensor);
    shards.emplace(shard, file);
  }
  check_shard_index(shard_of, index, tensors_of_shard);
  return shards;
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const fs::path& folder, const std::string& stem) : folder_(folder) {
  const fs::path single = folder / (stem + ".safetensors");
  const fs::path index = folder / (stem + ".safetensors.index.json");
  if (is_there(single)) {
    const auto file = SafetensorsFile::open(single);
    for (const auto& [tensor, stored] : file->tensors()) files_.emplace(tensor, file);
    return;
  }
  if (!is_there(index)) fail_no_weights(folder, stem);
  const ShardOfTensor shard_of = read_shard_index(index);
  const Shards shards = open_shards(shard_of, folder, index);
  for (const auto& [tensor, shard] : shard_of) files_.emplace(tensor, shards.at(shard));
}

const SafetensorsFile& SafetensorsFolder::file(std::string_view name) const {
  const auto found = files_.find(name);
  if (found == files_.end()) {
    throw CheckpointError(
        fmt::format("{}: there is no tensor {} among its {}; use the files that belong to this model",
                    folder_.string(), quote_name(name), files_.size()));
  }
  return *found->second;
}

at::Tensor SafetensorsFolder::load(std::string_view name) const {
  return file(name).load(name);
}

const StoredTensor& SafetensorsFolder::stored(std::string_view name) const {
  return file(name).tensors().find(name)->second;
}

std::span<const std::byte> SafetensorsFolder::bytes(std::string_view name) const {
  return file(name).bytes(name);
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> names;
  names.reserve(files_.size());
  for (const auto& [name, file] : files_) names.push_back(name);
  return names;
}

std::string SafetensorsFolder::file_of(std::string_view name) const {
  return file(name).path().filename().string();
}

std::string SafetensorsFolder::path_of(std::string_view name) const {
  return file(name).path().string();
}

}  // namespace excitor
