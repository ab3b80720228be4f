// SentencePiece models: LLaMA 1 and 2, and everything trained with SentencePiece's own trainer.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Builds a tokenizer from the content of a SentencePiece model. Tokens that the other files of its folder
/// add (read_added_tokens) follow the model's as control tokens: no text becomes one. Throws CheckpointError:
/// damaged, or a model without BOS or EOS.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view content,
                                                        const std::filesystem::path& file);

}  // namespace excitor
