#include "safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/json.h>

namespace excitor {
namespace {

constexpr std::array kStorageTypes{
    StorageType{"F64", 64, at::ScalarType::Double},
    StorageType{"F32", 32, at::ScalarType::Float},
    StorageType{"F16", 16, at::ScalarType::Half},
    StorageType{"BF16", 16, at::ScalarType::BFloat16},
    StorageType{"I64", 64, at::ScalarType::Long},
    StorageType{"I32", 32, at::ScalarType::Int},
    StorageType{"I16", 16, at::ScalarType::Short},
    StorageType{"I8", 8, at::ScalarType::Char},
    StorageType{"U8", 8, at::ScalarType::Byte},
    StorageType{"BOOL", 8, at::ScalarType::Bool},
    StorageType{"U64", 64, at::ScalarType::UInt64},
    StorageType{"U32", 32, at::ScalarType::UInt32},
    StorageType{"U16", 16, at::ScalarType::UInt16},
    StorageType{"C64", 64, at::ScalarType::ComplexFloat},
    StorageType{"F8_E4M3", 8, at::ScalarType::Float8_e4m3fn},
    StorageType{"F8_E5M2", 8, at::ScalarType::Float8_e5m2},
    StorageType{"F8_E4M3FNUZ", 8, at::ScalarType::Float8_e4m3fnuz},
    StorageType{"F8_E5M2FNUZ", 8, at::ScalarType::Float8_e5m2fnuz},
    StorageType{"F8_E8M0", 8, at::ScalarType::Float8_e8m0fnu},
    StorageType{"F6_E2M3", 6, std::nullopt},
    StorageType{"F6_E3M2", 6, std::nullopt},
    StorageType{"F4", 4, std::nullopt},
};

[[noreturn]] void fail(const std::string& file, std::string_view tensor, std::string_view fault) {
  throw CheckpointError(fmt::format("{}: tensor {}: {}; {}", file, quote_name(tensor), fault, kDamaged));
}

/// Bits of the whole tensor; nothing on overflow. Zero-sized dimensions are skipped, because ATen computes
/// strides from the others.
std::optional<uint64_t> stored_bits(const StoredTensor& tensor, const StorageType& type) {
  constexpr auto kLimit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  auto bits = static_cast<uint64_t>(type.bits);
  bool empty = false;
  for (const int64_t size : tensor.shape) {
    if (size == 0) empty = true;
    if (size > 0 && bits > kLimit / static_cast<uint64_t>(size)) return std::nullopt;
    if (size > 0) bits *= static_cast<uint64_t>(size);
  }
  return empty ? 0 : bits;
}

void check_tensor(const std::string& name, const StoredTensor& tensor, const std::string& file) {
  const StorageType* type = find_storage_type(tensor.dtype);
  if (type == nullptr) {
    throw CheckpointError(
        fmt::format("{}: tensor {}: unknown dtype {}; expected F32, F16, BF16 or another type of the "
                    "safetensors format. Convert the tensor, or download the file again",
                    file, quote_name(name), quote_name(tensor.dtype)));
  }
  if (tensor.end < tensor.begin) {
    fail(file, name,
         fmt::format("its data ends at byte {}, before it begins at {}", tensor.end, tensor.begin));
  }
  const std::optional<uint64_t> bits = stored_bits(tensor, *type);
  if (!bits)
    fail(file, name, fmt::format("the size of its shape {} overflows", fmt::join(tensor.shape, " × ")));
  if (*bits % 8 != 0) fail(file, name, fmt::format("its {} bits are not whole bytes", *bits));
  if (*bits / 8 != tensor.end - tensor.begin) {
    fail(file, name,
         fmt::format("{} bytes are stored, but its dtype {} and shape [{}] need {}",
                     tensor.end - tensor.begin, tensor.dtype, fmt::join(tensor.shape, ", "), *bits / 8));
  }
}

/// Each tensor begins exactly where the one before it ended.
void check_layout(const SafetensorsHeader& header, const std::string& file) {
  std::vector<const std::pair<const std::string, StoredTensor>*> entries;
  entries.reserve(header.tensors.size());
  for (const auto& entry : header.tensors) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t expected = 0;
  for (const auto* entry : entries) {
    const auto& [name, tensor] = *entry;
    if (tensor.begin != expected) {
      fail(file, name,
           fmt::format("its data begins at byte {}, expected {} ({})", tensor.begin, expected,
                       tensor.begin < expected ? "it overlaps another tensor" : "there is a hole"));
    }
    expected = tensor.end;
  }
}

/// The member `key` of a tensor's object.
const Json& member(const Json& object, const char* key, const std::string& file, const std::string& name) {
  const auto found = object.find(key);
  if (found == object.end()) fail(file, name, fmt::format("{} is missing", key));
  return *found;
}

/// An array of integers from 0 to 2^63 - 1. Keys other than dtype, shape and data_offsets are ignored, as the
/// reference reader does.
std::vector<int64_t> integers(const Json& object, const char* key, const std::string& file,
                              const std::string& name) {
  constexpr auto kLimit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const Json& array = member(object, key, file, name);
  if (!array.is_array())
    fail(file, name, fmt::format("{} is {}, expected an array", key, describe_value(array)));
  std::vector<int64_t> values;
  for (const Json& value : array) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > kLimit) {
      fail(file, name,
           fmt::format("{} holds {}, expected non-negative integers", key, describe_value(value)));
    }
    values.push_back(value.get<int64_t>());
  }
  return values;
}

StoredTensor read_tensor(const Json& object, const std::string& file, const std::string& name) {
  if (!object.is_object())
    fail(file, name, fmt::format("found {}, expected an object", describe_value(object)));
  const Json& dtype = member(object, "dtype", file, name);
  if (!dtype.is_string())
    fail(file, name, fmt::format("dtype is {}, expected a string", describe_value(dtype)));
  const std::vector<int64_t> offsets = integers(object, "data_offsets", file, name);
  if (offsets.size() != 2)
    fail(file, name, fmt::format("data_offsets holds {} numbers, expected 2", offsets.size()));
  return {dtype.get<std::string>(), integers(object, "shape", file, name), static_cast<uint64_t>(offsets[0]),
          static_cast<uint64_t>(offsets[1])};
}

std::map<std::string, std::string> read_metadata(const Json& object, const std::string& file) {
  if (!object.is_object()) {
    throw CheckpointError(fmt::format("{}: {} is {}, expected an object; {}", file, kMetadataKey,
                                      describe_value(object), kDamaged));
  }
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) {
      throw CheckpointError(fmt::format("{}: {}: {} is {}, expected a string; {}", file, kMetadataKey,
                                        quote_name(key), describe_value(value), kDamaged));
    }
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

Json parse_header_json(std::string_view text, const std::string& file) {
  try {
    Json json = parse_json(text, file + ", header");
    if (json.is_object()) return json;
    throw CheckpointError(
        fmt::format("{}: the header is {}, expected an object; {}", file, describe_value(json), kDamaged));
  } catch (const ConfigError& error) {
    throw CheckpointError(fmt::format("{}; {}", error.what(), kDamaged));
  }
}

}  // namespace

const StorageType* find_storage_type(std::string_view name) {
  const auto found = std::ranges::find(kStorageTypes, name, &StorageType::name);
  return found == kStorageTypes.end() ? nullptr : &*found;
}

const StorageType* find_storage_type(at::ScalarType type) {
  const auto found = std::ranges::find(kStorageTypes, std::optional(type), &StorageType::aten);
  return found == kStorageTypes.end() ? nullptr : &*found;
}

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file) {
  SafetensorsHeader header;
  const Json json = parse_header_json(text, file);
  for (const auto& [name, value] : json.items()) {
    if (name == kMetadataKey) {
      header.metadata = read_metadata(value, file);
      continue;
    }
    const auto added = header.tensors.emplace(name, read_tensor(value, file, name)).first;
    check_tensor(name, added->second, file);
  }
  check_layout(header, file);
  return header;
}

uint64_t data_size(const SafetensorsHeader& header) {
  uint64_t size = 0;
  for (const auto& [name, tensor] : header.tensors) size = std::max(size, tensor.end);
  return size;
}

std::string quote_name(std::string_view name) {
  constexpr size_t kShown = 200;
  const std::string text(name.substr(0, kShown));
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
         (name.size() > kShown ? "…" : "");
}

std::string safetensors_dtype(at::ScalarType type) {
  const StorageType* known = find_storage_type(type);
  return known == nullptr ? c10::toString(type) : std::string(known->name);
}

}  // namespace excitor
