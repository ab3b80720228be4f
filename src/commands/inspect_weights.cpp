#include "inspect_weights.h"

#include <filesystem>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/safetensors.h>
#include <excitor/tensor/torch_file.h>
#include <excitor/util/json.h>

namespace excitor {
namespace {

struct InspectWeightsOptions {
  std::string file;
  bool verify = false;
  bool json = false;
};

Json tensor_entry(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape) {
  return {{"name", name}, {"dtype", dtype}, {"shape", shape}};
}

Json safetensors_entries(const std::filesystem::path& path) {
  Json entries = Json::array();
  for (const auto& [name, stored] : SafetensorsFile::open(path)->tensors())
    entries.push_back(tensor_entry(name, stored.dtype, stored.shape));
  return entries;
}

/// Tensors and other values below `value`, members of dicts and lists under "outer/inner".
void add_torch_entries(const TorchValue& value, const std::string& name, Json& entries) {
  const std::string prefix = name.empty() ? "" : name + "/";
  if (value.is_dict()) {
    for (const auto& [key, member] : value.dict()) add_torch_entries(member, prefix + key, entries);
  } else if (value.is_list()) {
    for (size_t i = 0; i < value.list().size(); ++i)
      add_torch_entries(value.list()[i], prefix + std::to_string(i), entries);
  } else if (value.is_tensor()) {
    const at::Tensor& tensor = value.tensor();
    entries.push_back(tensor_entry(name, safetensors_dtype(tensor.scalar_type()), tensor.sizes().vec()));
  } else {
    entries.push_back({{"name", name}, {"value", value.describe()}});
  }
}

Json torch_entries(const InspectWeightsOptions& options) {
  if (options.verify) check_torch_file(options.file);
  Json entries = Json::array();
  add_torch_entries(read_torch_file(options.file), "", entries);
  return entries;
}

void inspect_weights(const InspectWeightsOptions& options) {
  const bool safetensors = std::filesystem::path(options.file).extension() == ".safetensors";
  const Json entries = safetensors ? safetensors_entries(options.file) : torch_entries(options);
  if (options.json) {
    std::cout << Json{{"tensors", entries}}.dump() << "\n";
    return;
  }
  for (const Json& entry : entries) {
    const std::string name = entry["name"].get<std::string>();
    if (entry.contains("value"))
      std::cout << fmt::format("{:<60} {}\n", name, entry["value"].get<std::string>());
    else
      std::cout << fmt::format("{:<60} {:>5}  [{}]\n", name, entry["dtype"].get<std::string>(),
                               fmt::join(entry["shape"].get<std::vector<int64_t>>(), ", "));
  }
}

}  // namespace

void add_inspect_weights_command(CLI::App& inspect) {
  auto options = std::make_shared<InspectWeightsOptions>();
  auto* command = inspect.add_subcommand("weights", "Tensors in a .safetensors, .pth, .pt or .bin file");
  command->footer("Example: excitor inspect weights consolidated.00.pth");
  command->add_option("file", options->file, "The file")->required();
  command->add_flag("--verify", options->verify, "Compare every checksum of a torch file: reads all of it");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options] { inspect_weights(*options); });
}

}  // namespace excitor
