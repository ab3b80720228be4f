#include <excitor/methods/adapter_tensors.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include <excitor/tensor/dtype.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/tensor/torch_file.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

TensorsByName read_safetensors(const fs::path& path) {
  const auto file = SafetensorsFile::open(path);
  TensorsByName tensors;
  for (const auto& [name, stored] : file->tensors()) tensors[name] = file->load(name);
  return tensors;
}

TensorsByName read_bin(const fs::path& path) {
  TensorsByName tensors;
  const TorchValue root = read_torch_file(path);
  for (const auto& [name, value] : root.dict()) tensors[name] = value.tensor();
  return tensors;
}

/// Missing, left-over and misshaped tensors, each in a line.
std::vector<std::string> find_faults(const std::vector<ParameterSpec>& specs, const TensorsByName& tensors) {
  std::vector<std::string> faults;
  std::set<std::string> expected;
  for (const auto& spec : specs) {
    expected.insert(spec.name);
    const auto found = tensors.find(spec.name);
    if (found == tensors.end()) {
      faults.push_back(fmt::format("{} is missing", spec.name));
    } else if (!found->second.is_floating_point()) {
      faults.push_back(fmt::format("{} has type {}, expected float32, bfloat16 or float16", spec.name,
                                   dtype_name(found->second.scalar_type())));
    } else if (found->second.sizes() != spec.shape) {
      faults.push_back(fmt::format("{} has shape [{}], expected [{}]", spec.name,
                                   fmt::join(found->second.sizes(), ", "), fmt::join(spec.shape, ", ")));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!expected.contains(name))
      faults.push_back(fmt::format("{} is left over: these settings have no such tensor", name));
  }
  return faults;
}

}  // namespace

fs::path adapter_tensor_file(const fs::path& folder) {
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  throw CheckpointError(
      fmt::format("{}: neither adapter_model.safetensors nor adapter_model.bin is there; copy the whole "
                  "adapter folder, as it was saved",
                  folder.string()));
}

TensorsByName read_adapter_tensors(const fs::path& file) {
  return file.extension() == ".bin" ? read_bin(file) : read_safetensors(file);
}

ParameterSet match_parameters(const std::vector<ParameterSpec>& specs, const TensorsByName& tensors,
                              const std::string& where) {
  const std::vector<std::string> faults = find_faults(specs, tensors);
  if (!faults.empty()) {
    constexpr size_t kShown = 8;
    const size_t shown = std::min(kShown, faults.size());
    throw CheckpointError(fmt::format(
        "{}: does not fit its settings and the model ({} faults):\n  {}{}", where, faults.size(),
        fmt::join(faults.begin(), faults.begin() + shown, "\n  "), faults.size() > shown ? "\n  …" : ""));
  }
  ParameterSet parameters;
  for (const auto& spec : specs) {
    const at::Tensor& stored = tensors.find(spec.name)->second;
    parameters.add(spec.name, stored.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous());
  }
  return parameters;
}

}  // namespace excitor
