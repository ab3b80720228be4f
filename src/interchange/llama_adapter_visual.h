// The visual side of LLaMA-Adapter V2's multimodal file as settings and tensors of method adapter_v2.
#pragma once

#include <cstdint>
#include <optional>

#include <excitor/methods/adapter_files.h>
#include <excitor/util/json.h>

#include "llama_adapter_file.h"

namespace excitor {

struct VisualSide {
  Json settings;          ///< visual_width, visual_hidden_size, visual_blocks, visual_heads, visual_rows
  TensorsByName tensors;  ///< by our names
  int64_t queries = 0;    ///< one for each prompt of a layer
};

/// Nothing where the file has no visual side, or with a warning where it is only the beginning of one (the
/// original then starts the rest at random, which is nothing to import). `heads` of the visual blocks are not
/// told by any shape. Throws CheckpointError where the first and the last matrix have shapes that can't be.
std::optional<VisualSide> read_visual_side(const LlamaAdapterFile& file, int64_t heads);

}  // namespace excitor
