#include "base_folder.h"

#include <filesystem>

#include <fmt/format.h>

#include <excitor/model/checkpoint.h>
#include <excitor/tensor/dtype.h>
#include <excitor/util/error.h>

namespace excitor {

std::string stored_dtype(const std::string& folder) {
  const Weights weights = open_weights(folder, read_llama_config(folder));
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  if (!weights.contains(name)) return "float32";  // loading the model says what is missing
  const at::ScalarType type = weights.at(name).parts().type();
  return at::isFloatingType(type) ? dtype_name(type) : "float32";
}

void check_output_is_free(const std::string& output) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!fs::exists(output, ignored)) return;
  if (fs::is_directory(output, ignored) && fs::is_empty(output, ignored)) return;
  throw UsageError(fmt::format(
      "--output: {} is there already, and nothing is overwritten; remove it or name another place", output));
}

}  // namespace excitor
