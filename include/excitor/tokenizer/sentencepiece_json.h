// SentencePiece models in the format of Hugging Face's tokenizers.
#pragma once

#include <filesystem>
#include <optional>

#include <excitor/util/json.h>

namespace excitor {

/// The tokenizer.json of a SentencePiece model made like LLaMA's (BPE, byte fallback, no normalisation): the
/// same ids for every text, BOS in front of them, where the text spells no control token (that format turns
/// it into one). Nothing for other files and for models that work otherwise. Throws CheckpointError as
/// load_tokenizer.
std::optional<Json> sentencepiece_as_tokenizer_json(const std::filesystem::path& file);

}  // namespace excitor
