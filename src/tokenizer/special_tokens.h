// Which tokens are BOS and EOS, by the files beside a tokenizer.json.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

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

}  // namespace excitor
