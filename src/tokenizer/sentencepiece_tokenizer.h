// SentencePiece models: LLaMA 1 and 2, and everything trained with SentencePiece's own trainer.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Builds a tokenizer from the content of a SentencePiece model. The other files of its folder may name
/// another BOS and EOS and add tokens behind the model's own (TokenizerFolder): special ones are control
/// tokens, which no text becomes; the others are found in texts, as Hugging Face does. Behind one of those a
/// stretch begins with a space as `legacy` says; what the text itself begins with is encoded as SentencePiece
/// does. Throws CheckpointError: damaged, or without BOS or EOS.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view content,
                                                        const std::filesystem::path& file);

}  // namespace excitor
