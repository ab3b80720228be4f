// The .pth files of the original LLaMA-Adapter (github.com/OpenGVLab/LLaMA-Adapter) in three layouts:
//   V1              {"adapter_query.weight" [K·N,D], "layers.I.attention.gate" [1,H,1,1] of every layer}
//   V2, chat        {"model": scales on the input side, biases and norms of every linear}
//   V2, multimodal  {"model": prompts, gates, biases, norms, LoRA, the visual side; "config"}
// Rows that make queries and keys stand in Meta's order there, in Hugging Face's here. Gates are stored
// before tanh.
#pragma once

#include <filesystem>

#include <excitor/interchange/import_options.h>
#include <excitor/methods/adapter_files.h>
#include <excitor/model/llama_config.h>
#include <excitor/tensor/parameter_set.h>

namespace excitor {

/// Reads a .pth of any of the layouts (its keys tell which) and writes it as an adapter folder of ours.
/// A text without an image is answered without the visual side, where the original shows a black image.
/// Throws CheckpointError: a whole training state or a whole model instead of an adapter (with what to
/// extract), tensors that are missing, left over or of another shape than the base's; UsageError when the
/// file needs a base that `options` does not have, or --adapter-len does not fit.
void import_llama_adapter(const std::filesystem::path& file, const std::filesystem::path& output,
                          const ImportOptions& options);

/// What an adapter is exported beside.
struct ExportBase {
  const LlamaConfig& config;
  BaseWeight weight;  ///< by Hugging Face name; asked for norms that the adapter did not train
};

/// Writes method adapter as V1, adapter_v2 without prompts as V2 chat, with prompts as V2 multimodal. Throws
/// UsageError for what the layout has no place for.
void export_llama_adapter(const std::filesystem::path& file, const LoadedAdapter& adapter,
                          const ExportBase& base);

}  // namespace excitor
