// A .pth of LLaMA-Adapter as it was read: which layout, and its tensors by Meta's names.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <excitor/methods/adapter_files.h>
#include <excitor/model/llama_config.h>

namespace excitor {

enum class LlamaAdapterKind { v1, v2_chat, v2_multimodal };

/// "V2 (multimodal)": for messages.
const char* kind_name(LlamaAdapterKind kind);

struct LlamaAdapterFile {
  std::string path;
  LlamaAdapterKind kind = LlamaAdapterKind::v1;
  TensorsByName tensors;  ///< without "llama." and without the visual side
  TensorsByName visual;   ///< of the multimodal layout, by the original's names (is_visual_name)

  const at::Tensor* find(const std::string& name) const;
  /// Layers of the base, as far as they are named.
  int64_t layers() const;
};

/// Throws CheckpointError as import_llama_adapter does.
LlamaAdapterFile read_llama_adapter_file(const std::filesystem::path& path);

/// The sizes of the base that the file tells; the others are absent.
struct ShapeOfFile {
  std::optional<int64_t> hidden_size;
  std::optional<int64_t> num_attention_heads;
  std::optional<int64_t> key_width;
  std::optional<int64_t> intermediate_size;
};
ShapeOfFile shape_of(const LlamaAdapterFile& file);

}  // namespace excitor
