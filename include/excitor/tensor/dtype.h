// Element types: names in files and configurations <-> ATen's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <c10/core/ScalarType.h>

namespace excitor {

/// "float32" | "bfloat16" | "float16" (and "float64" in tests) as configurations write them; "fp32", "bf16",
/// "fp16" too. Throws ConfigError for any other name.
at::ScalarType parse_dtype(std::string_view name);

/// "float32", "bfloat16", …
std::string dtype_name(at::ScalarType type);

}  // namespace excitor
