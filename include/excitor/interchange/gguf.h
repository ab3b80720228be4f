// GGUF version 3, the format of ggml and llama.cpp: a LoRA as an adapter file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <excitor/methods/adapter_files.h>
#include <excitor/model/llama_config.h>
#include <excitor/tensor/safetensors.h>

namespace excitor {

/// One key of a GGUF header.
struct GgufValue {
  std::string key;
  std::variant<uint32_t, float, std::string> value;
};

/// Writes a file, atomically: header, `values`, the tensors in their order, each at a multiple of 32 bytes.
/// Tensors are float32, and named with at most 63 bytes; keys and names are unique (std::logic_error
/// otherwise). Throws IoError.
void write_gguf(const std::filesystem::path& path, const std::vector<GgufValue>& values,
                const std::vector<NamedTensor>& tensors);

/// "blk.3.attn_q.weight": what llama.cpp calls the weight of a projection.
std::string gguf_weight_name(int64_t layer, Projection site);

/// Writes a LoRA for llama.cpp (`llama-cli -m base.gguf --lora FILE`): rows of B that make queries and keys
/// in Meta's order, one adapter.lora.alpha, or, where modules are scaled differently, the scale multiplied
/// into B. Throws UsageError for an adapter that is anything but LoRA, with the reason and what to do
/// instead.
void export_gguf(const std::filesystem::path& file, const LoadedAdapter& adapter, const LlamaConfig& model);

}  // namespace excitor
