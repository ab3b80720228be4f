// What the files beside a tokenizer say of its tokens: which are BOS and EOS, and which were added.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <excitor/tokenizer/template_piece.h>

namespace excitor {

struct SpecialTokens {
  TokenId bos = -1;  ///< -1: not known
  TokenId eos = -1;
};

/// BOS and EOS of a model folder: by name in tokenizer_config.json (bos_token, eos_token), else by id in
/// config.json, else in generation_config.json (bos_token_id, eos_token_id; of a list the first), else
/// `otherwise`. `find` gives the id of a token, or -1. Throws CheckpointError for a file that is broken or
/// names a token that the vocabulary lacks.
SpecialTokens find_special_tokens(const std::filesystem::path& folder,
                                  const std::function<TokenId(const std::string&)>& find,
                                  const SpecialTokens& otherwise);

/// The tokens that a model folder adds to a vocabulary of `vocab_size`, whose ids follow it:
/// added_tokens_decoder of tokenizer_config.json, else added_tokens.json. Left out are those for which the
/// model has no row (vocab_size of config.json), as some folders name a <pad> that was never trained. Throws
/// CheckpointError for a broken file, an id that stands twice, or a hole.
std::vector<std::string> read_added_tokens(const std::filesystem::path& folder, int64_t vocab_size);

}  // namespace excitor
