// params.json of Meta's folders.
#pragma once

#include <filesystem>

#include <excitor/model/llama_config.h>

namespace excitor {

/// The shape of the model in a Meta folder. What params.json leaves open comes from the first
/// consolidated.*.pth: the vocabulary when it says -1, whether there are biases and an output layer of its
/// own. The context length, which Meta's files do not tell, is that of the generation that the other values
/// are of: 2048 (LLaMA 1), 4096 (2), 16384 (Code Llama), 8192 (3), 131072 (3.1 and later), unless params.json
/// has max_seq_len. BOS and EOS are those of the tokenizer, and null here, except for the vocabulary of
/// LLaMA 3. Throws as read_llama_config.
LlamaConfig read_meta_config(const std::filesystem::path& folder);

}  // namespace excitor
