// Meta's weights in the layout of Hugging Face.
#pragma once

#include <filesystem>

#include <excitor/model/llama_config.h>
#include <excitor/tensor/weights.h>

namespace excitor {

/// The weights in consolidated.00.pth, consolidated.01.pth, … under Hugging Face's names: shards joined, rows
/// of q and k in the order that rotates halves (Meta rotates neighbours). Throws CheckpointError: a shard is
/// missing, or holds other tensors or shapes than the first.
Weights meta_weights(const std::filesystem::path& folder, const LlamaConfig& config);

/// Whether shape, type and every byte are the same.
bool is_same_weight(const StoredWeight& a, const StoredWeight& b);

}  // namespace excitor
