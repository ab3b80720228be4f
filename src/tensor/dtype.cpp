#include <excitor/tensor/dtype.h>

#include <array>

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

struct DtypeName {
  at::ScalarType type;
  std::string_view name;
  std::string_view short_name;
};

constexpr std::array kTrainingTypes{
    DtypeName{at::ScalarType::Float, "float32", "fp32"},
    DtypeName{at::ScalarType::BFloat16, "bfloat16", "bf16"},
    DtypeName{at::ScalarType::Half, "float16", "fp16"},
    DtypeName{at::ScalarType::Double, "float64", "fp64"},
};

constexpr std::array kOtherTypes{
    DtypeName{at::ScalarType::Long, "int64", ""},  DtypeName{at::ScalarType::Int, "int32", ""},
    DtypeName{at::ScalarType::Short, "int16", ""}, DtypeName{at::ScalarType::Char, "int8", ""},
    DtypeName{at::ScalarType::Byte, "uint8", ""},  DtypeName{at::ScalarType::Bool, "bool", ""},
};

}  // namespace

at::ScalarType parse_dtype(std::string_view name) {
  for (const DtypeName& known : kTrainingTypes) {
    if (name == known.name || name == known.short_name) return known.type;
  }
  throw ConfigError(
      fmt::format("unknown dtype \"{}\": expected float32, bfloat16, float16 or float64", name));
}

std::string dtype_name(at::ScalarType type) {
  for (const DtypeName& known : kTrainingTypes) {
    if (type == known.type) return std::string(known.name);
  }
  for (const DtypeName& known : kOtherTypes) {
    if (type == known.type) return std::string(known.name);
  }
  return c10::toString(type);
}

}  // namespace excitor
