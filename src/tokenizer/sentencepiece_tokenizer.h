// SentencePiece models: LLaMA 1 and 2, and everything trained with SentencePiece's own trainer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Builds a tokenizer from the content of a SentencePiece model. `name` stands in messages.
/// Throws CheckpointError: damaged, or a model without BOS or EOS.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view content, const std::string& name);

}  // namespace excitor
