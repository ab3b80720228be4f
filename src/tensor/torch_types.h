// Names of element types in torch files.
#pragma once

#include <optional>
#include <string_view>

#include <c10/core/ScalarType.h>

namespace excitor {

/// "torch.HalfStorage" -> Half; nothing for another name.
std::optional<at::ScalarType> torch_storage_type(std::string_view name);
/// "HalfStorage"; empty for a type that has no storage of its own.
std::string_view torch_storage_name(at::ScalarType type);
/// "torch.float16" -> Half; nothing for another name.
std::optional<at::ScalarType> torch_dtype(std::string_view name);
/// "torch.UntypedStorage", "torch.storage.UntypedStorage"
bool is_untyped_storage(std::string_view name);

}  // namespace excitor
