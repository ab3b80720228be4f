// The tensors of an adapter's file.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <excitor/tensor/parameter_set.h>

namespace excitor {

/// The tensors of a file by their names.
using TensorsByName = std::map<std::string, at::Tensor, std::less<>>;

/// The file of an adapter folder's tensors: adapter_model.safetensors, else PEFT's older adapter_model.bin.
/// Throws CheckpointError when neither is there.
std::filesystem::path adapter_tensor_file(const std::filesystem::path& folder);

/// The tensors of either kind of file, on the CPU. Throws CheckpointError as SafetensorsFile and
/// read_torch_file.
TensorsByName read_adapter_tensors(const std::filesystem::path& file);

/// Copies of `tensors` in fp32 as the parameters of `specs`. Throws CheckpointError that lists, behind
/// `where` (the file), those that are missing, left over, or of another shape or kind of type.
ParameterSet match_parameters(const std::vector<ParameterSpec>& specs, const TensorsByName& tensors,
                              const std::string& where);

}  // namespace excitor
