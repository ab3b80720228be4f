// The safetensors format (github.com/huggingface/safetensors): u64 header length, JSON header, data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/util/files.h>

namespace excitor {

/// One tensor as the header describes it. Types that ATen lacks (F4, F6_E2M3, F6_E3M2) are listed but can't
/// be loaded.
struct StoredTensor {
  std::string dtype;  ///< as written: "F32", "BF16", "F16", "I64", …
  std::vector<int64_t> shape;
  uint64_t begin = 0;  ///< byte range in the data section
  uint64_t end = 0;
};

/// A memory-mapped file whose header was checked completely: sizes, ranges without holes or overlaps, types,
/// overflow, duplicate keys.
class SafetensorsFile : public std::enable_shared_from_this<SafetensorsFile> {
 public:
  /// Throws CheckpointError that names the file, the tensor and the fault; IoError when it can't be read.
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::map<std::string, StoredTensor, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }

  /// The tensor in its stored type. Shares the mapping (which it keeps alive) where the data is aligned for
  /// the type, else a copy. Never write to it: the mapping is read-only. Throws CheckpointError: no such
  /// tensor, a type that ATen does not have.
  at::Tensor load(std::string_view name) const;
  /// The stored bytes.
  std::span<const std::byte> bytes(std::string_view name) const;

 private:
  explicit SafetensorsFile(MappedFile file) : file_(std::move(file)) {}
  void parse();

  MappedFile file_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
  uint64_t data_offset_ = 0;
};

/// All tensors of a folder: `stem`.safetensors, else `stem`.safetensors.index.json with its shards (as
/// transformers chooses when both are there). Tensors that the index does not name are ignored.
class SafetensorsFolder {
 public:
  /// Throws CheckpointError: neither file is there (the message lists what is: .bin, .pth …), a shard of the
  /// index is missing, a tensor is not in the shard that the index names, or one stands in two shards.
  SafetensorsFolder(const std::filesystem::path& folder, const std::string& stem);

  bool contains(std::string_view name) const { return files_.find(name) != files_.end(); }
  at::Tensor load(std::string_view name) const;
  const StoredTensor& stored(std::string_view name) const;
  std::span<const std::byte> bytes(std::string_view name) const;
  std::vector<std::string> names() const;
  /// "model-00002-of-00003.safetensors" of a tensor, for messages.
  std::string file_of(std::string_view name) const;
  /// The same with the folder.
  std::string path_of(std::string_view name) const;

 private:
  const SafetensorsFile& file(std::string_view name) const;

  std::filesystem::path folder_;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>, std::less<>> files_;  ///< tensor -> its shard
};

/// "F16": how the format spells a type; c10's name for one that it does not have.
std::string safetensors_dtype(at::ScalarType type);

struct NamedTensor {
  std::string name;
  at::Tensor tensor;  ///< on any device; written contiguously
};

/// A tensor that is made when its turn to be written comes, so that no more than one is in memory.
struct PlannedTensor {
  std::string name;
  at::ScalarType type;
  std::vector<int64_t> shape;
  std::function<at::Tensor()> make;  ///< called once; gives `type` and `shape`
};

/// Writes one file, atomically: tensors with wide elements first, then by name, so that each is aligned for
/// its type; the header is padded with spaces until the data begins at a multiple of 64. "format": "pt" joins
/// the metadata unless it has a format. Types: those of StoredTensor that ATen has. Throws IoError;
/// std::logic_error when two tensors have one name, one is undefined, or its type is not in the format.
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Writes `stem`.safetensors, or shards of at most `max_shard_bytes` with their index, into an existing
/// folder. Shards take the tensors in the given order; one that is larger than the limit stands alone. Throws
/// as write_safetensors, and CheckpointError when the folder holds the other of the two kinds, which would be
/// read instead.
void write_safetensors_folder(const std::filesystem::path& folder, const std::string& stem,
                              const std::vector<NamedTensor>& tensors, uint64_t max_shard_bytes);
void write_safetensors_folder(const std::filesystem::path& folder, const std::string& stem,
                              const std::vector<PlannedTensor>& tensors, uint64_t max_shard_bytes);

}  // namespace excitor
