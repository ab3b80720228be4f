#include "torch_types.h"

#include <array>

namespace excitor {
namespace {

struct TorchType {
  at::ScalarType type;
  std::string_view dtype;    ///< after "torch."
  std::string_view storage;  ///< after "torch."; empty: newer types have none
};

constexpr std::array kTypes{
    TorchType{at::ScalarType::Float, "float32", "FloatStorage"},
    TorchType{at::ScalarType::Half, "float16", "HalfStorage"},
    TorchType{at::ScalarType::BFloat16, "bfloat16", "BFloat16Storage"},
    TorchType{at::ScalarType::Double, "float64", "DoubleStorage"},
    TorchType{at::ScalarType::Long, "int64", "LongStorage"},
    TorchType{at::ScalarType::Int, "int32", "IntStorage"},
    TorchType{at::ScalarType::Short, "int16", "ShortStorage"},
    TorchType{at::ScalarType::Char, "int8", "CharStorage"},
    TorchType{at::ScalarType::Byte, "uint8", "ByteStorage"},
    TorchType{at::ScalarType::Bool, "bool", "BoolStorage"},
    TorchType{at::ScalarType::ComplexFloat, "complex64", "ComplexFloatStorage"},
    TorchType{at::ScalarType::ComplexDouble, "complex128", "ComplexDoubleStorage"},
    TorchType{at::ScalarType::UInt16, "uint16", ""},
    TorchType{at::ScalarType::UInt32, "uint32", ""},
    TorchType{at::ScalarType::UInt64, "uint64", ""},
    TorchType{at::ScalarType::Float8_e4m3fn, "float8_e4m3fn", ""},
    TorchType{at::ScalarType::Float8_e5m2, "float8_e5m2", ""},
    TorchType{at::ScalarType::Float8_e4m3fnuz, "float8_e4m3fnuz", ""},
    TorchType{at::ScalarType::Float8_e5m2fnuz, "float8_e5m2fnuz", ""},
    TorchType{at::ScalarType::Float8_e8m0fnu, "float8_e8m0fnu", ""},
};

constexpr std::string_view kModule = "torch.";

}  // namespace

std::optional<at::ScalarType> torch_storage_type(std::string_view name) {
  if (!name.starts_with(kModule)) return std::nullopt;
  for (const TorchType& known : kTypes) {
    if (!known.storage.empty() && name.substr(kModule.size()) == known.storage) return known.type;
  }
  return std::nullopt;
}

std::string_view torch_storage_name(at::ScalarType type) {
  for (const TorchType& known : kTypes) {
    if (known.type == type) return known.storage;
  }
  return "";
}

std::optional<at::ScalarType> torch_dtype(std::string_view name) {
  if (!name.starts_with(kModule)) return std::nullopt;
  for (const TorchType& known : kTypes) {
    if (name.substr(kModule.size()) == known.dtype) return known.type;
  }
  return std::nullopt;
}

bool is_untyped_storage(std::string_view name) {
  return name == "torch.UntypedStorage" || name == "torch.storage.UntypedStorage";
}

}  // namespace excitor
