#include "save_model.h"

#include <nlohmann/json.hpp>

#include <excitor/interchange/hugging_face.h>
#include <excitor/tensor/dtype.h>
#include <excitor/tensor/safetensors.h>
#include <excitor/util/files.h>

namespace excitor {

namespace fs = std::filesystem;

void save_hugging_face(const fs::path& folder, const WholeModel& model) {
  constexpr uint64_t kMaxShardBytes = 5'000'000'000;
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : model.parameters.entries())
    tensors.push_back({name, tensor.detach().to(model.type)});
  write_folder_atomically(folder, [&](const fs::path& temporary) {
    write_file_atomically(temporary / "config.json",
                          write_llama_config(model.config, dtype_name(model.type)).dump(2) + "\n");
    const Json generation = {{"bos_token_id", model.config.bos_token_id},
                             {"eos_token_id", model.config.eos_token_id}};
    write_file_atomically(temporary / "generation_config.json", generation.dump(2) + "\n");
    write_safetensors_folder(temporary, "model", tensors, kMaxShardBytes);
    copy_tokenizer(model.tokenizer_source, temporary);
  });
}

}  // namespace excitor
