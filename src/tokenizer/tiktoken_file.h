// LLaMA 3's tokenizer.model: a tiktoken vocabulary, one line "base64 rank" a token.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// True when the first line looks like one of such a file.
bool looks_like_tiktoken(std::string_view content);

/// Builds a tokenizer from the content of a tiktoken file. The file has no control tokens: LLaMA 3's 256
/// follow its ranks, under the names of LLaMA 3.1 and later (see tiktoken_file.cpp). The other files of its
/// folder may name them otherwise, add tokens behind them, and say which are BOS and EOS (TokenizerFolder).
/// Throws CheckpointError with the line: bad base64 or rank, a token or rank that stands twice, a hole.
std::unique_ptr<Tokenizer> make_tiktoken_tokenizer(std::string_view content,
                                                   const std::filesystem::path& file);

}  // namespace excitor
