// The JSON header of a safetensors file and the names of its element types: shared by reader and writer.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <c10/core/ScalarType.h>

#include <excitor/tensor/safetensors.h>

namespace excitor {

struct StorageType {
  std::string_view name;               ///< as the header writes it
  int bits;                            ///< of one element
  std::optional<at::ScalarType> aten;  ///< nothing: can't be loaded
};

/// nullptr when there is no such type.
const StorageType* find_storage_type(std::string_view name);
const StorageType* find_storage_type(at::ScalarType type);

struct SafetensorsHeader {
  std::map<std::string, StoredTensor, std::less<>> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads the header and checks each tensor and how they lie in the data. Throws CheckpointError, whose
/// message begins with `file`.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file);

/// The end of the last tensor: the number of data bytes the file must have.
uint64_t data_size(const SafetensorsHeader& header);

/// A tensor's name as a message shows it: quoted, control characters escaped, shortened.
std::string quote_name(std::string_view name);

inline constexpr std::string_view kMetadataKey = "__metadata__";
inline constexpr std::string_view kDamaged = "the file is damaged: download or write it again";

}  // namespace excitor
