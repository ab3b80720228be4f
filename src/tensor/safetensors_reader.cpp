#include <fmt/format.h>

#include <excitor/tensor/mapped_tensor.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>

#include "safetensors_header.h"

namespace excitor {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit

uint64_t little_endian_u64(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kLengthBytes; ++i)
    value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

/// The length of the JSON header. Checks that the file can be a safetensors file at all.
uint64_t header_length(std::string_view text, const std::string& file) {
  if (text.starts_with("version https://git-lfs")) {
    throw CheckpointError(
        fmt::format("{}: a Git LFS pointer, not the weights: run `git lfs pull` in its folder", file));
  }
  if (text.size() < kLengthBytes) {
    throw CheckpointError(
        fmt::format("{}: {} bytes, expected at least {}; {}", file, text.size(), kLengthBytes, kDamaged));
  }
  const uint64_t length = little_endian_u64(text);
  if (length > kMaxHeaderBytes) {
    throw CheckpointError(
        fmt::format("{}: the header would be {} bytes long, at most {} are allowed; this is not a "
                    "safetensors file, or {}",
                    file, length, kMaxHeaderBytes, kDamaged));
  }
  if (length > text.size() - kLengthBytes) {
    throw CheckpointError(
        fmt::format("{}: the header is {} bytes long, but the file has {} bytes: it is cut off; {}", file,
                    length, text.size(), kDamaged));
  }
  return length;
}

void check_file_size(uint64_t expected, uint64_t found, const std::string& file) {
  if (found == expected) return;
  throw CheckpointError(
      fmt::format("{}: {} bytes of tensor data, but the header describes {}: {}; {}", file, found, expected,
                  found < expected ? "it is cut off" : "bytes follow the last tensor", kDamaged));
}

const StoredTensor& find_tensor(const SafetensorsFile& file, std::string_view name) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end()) {
    throw CheckpointError(
        fmt::format("{}: there is no tensor {} among its {}; use the file that belongs to this model",
                    file.path().string(), quote_name(name), file.tensors().size()));
  }
  return found->second;
}

}  // namespace

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile(MappedFile(path)));
  file->parse();
  return file;
}

void SafetensorsFile::parse() {
  const std::string name = path().string();
  const std::string_view text = file_.text();
  const uint64_t length = header_length(text, name);
  SafetensorsHeader header = parse_safetensors_header(text.substr(kLengthBytes, length), name);
  data_offset_ = kLengthBytes + length;
  check_file_size(data_size(header), text.size() - data_offset_, name);
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
}

std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const StoredTensor& stored = find_tensor(*this, name);
  return file_.bytes().subspan(data_offset_ + stored.begin, stored.end - stored.begin);
}

at::Tensor SafetensorsFile::load(std::string_view name) const {
  const StoredTensor& stored = find_tensor(*this, name);
  const StorageType* type = find_storage_type(stored.dtype);
  if (!type->aten) {
    throw CheckpointError(
        fmt::format("{}: tensor {}: its dtype {} can't be loaded; convert it to F32, F16 or BF16",
                    path().string(), quote_name(name), stored.dtype));
  }
  const std::shared_ptr<const MappedFile> mapping(shared_from_this(), &file_);
  return tensor_over_file(mapping, bytes(name), stored.shape, *type->aten);
}

}  // namespace excitor
