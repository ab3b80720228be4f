#include <excitor/run/base_model.h>

#include <excitor/model/checkpoint.h>
#include <excitor/tensor/dtype.h>

namespace excitor {

at::ScalarType resolve_dtype(const std::string& name) {
  return name == "auto" ? at::kFloat : parse_dtype(name);
}

at::ScalarType resolve_dtype(const std::string& name, at::Device device, const std::string& folder) {
  if (name != "auto" || device.is_cpu() || folder.empty()) return resolve_dtype(name);
  return stored_type(folder);
}

at::ScalarType activation_type(Precision precision, at::ScalarType base) {
  switch (precision) {
    case Precision::fp32:
      return at::kFloat;
    case Precision::bf16:
      return at::kBFloat16;
    case Precision::fp16:
      return at::kHalf;
    case Precision::automatic:
      break;
  }
  return base;
}

LlamaConfig with_token_ids(LlamaConfig config, const Tokenizer& tokenizer) {
  if (config.bos_token_id.is_null()) config.bos_token_id = tokenizer.bos();
  if (config.eos_token_id.is_null()) config.eos_token_id = tokenizer.eos();
  return config;
}

}  // namespace excitor
