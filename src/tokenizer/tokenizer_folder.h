// What the files beside a vocabulary say of its tokens: which are BOS and EOS, which were added, and whether
// a text begins with a space. One reading for all kinds of vocabulary, as Hugging Face's.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/tokenizer/template_piece.h>
#include <excitor/util/json.h>

#include "added_tokens.h"

namespace excitor {

struct SpecialTokens {
  TokenId bos = -1;  ///< -1: not known
  TokenId eos = -1;
};

/// What a vocabulary's own file says.
struct OwnSpecialTokens {
  SpecialTokens otherwise;  ///< where the folder's files say nothing
  /// Ids in config.json count from here on. Of a vocabulary that knows its BOS and EOS that is its size: a
  /// lower id is no news, and wrong in some conversions of LLaMA 1.
  TokenId first_config_id = 0;
};

/// A token that the folder's files add to the vocabulary, or say something of.
struct FolderToken {
  AddedToken token;
  bool is_special = false;  ///< a control token: no text becomes it
};

/// Which stretches of a text begin with a space of the tokenizer's own (SentencePiece's dummy prefix), where
/// a text falls apart at added tokens.
enum class PrefixSpace {
  never,
  first,  ///< the one that the text begins with
  always  ///< and each other one that does not begin with a space already
};

/// Reads tokenizer_config.json, special_tokens_map.json, added_tokens.json, config.json and
/// generation_config.json of a folder, each where it is there. special_tokens_map.json and added_tokens.json
/// are older: they are looked at only where tokenizer_config.json has no added_tokens_decoder, and the names
/// of the former then go first, as Hugging Face has it.
class TokenizerFolder {
 public:
  /// Throws CheckpointError for a file that is broken.
  explicit TokenizerFolder(const std::filesystem::path& folder);

  using Find = std::function<TokenId(const std::string&)>;
  /// BOS and EOS: by name (bos_token, eos_token), else by id in config.json, else in generation_config.json
  /// (bos_token_id, eos_token_id; of a list the first), else `own`. `find` gives the id of a token, or -1.
  /// Throws CheckpointError for a name that the vocabulary lacks.
  SpecialTokens special_tokens(const Find& find, const OwnSpecialTokens& own) const;

  /// The tokens of added_tokens_decoder, else of added_tokens.json, by their ids; those from `vocab_size` on
  /// follow the vocabulary without a hole. Left out are those for which the model has no row (vocab_size of
  /// config.json), as some folders name a <pad> that was never trained. Throws CheckpointError for an id that
  /// stands twice, or a hole.
  std::vector<FolderToken> added_tokens(int64_t vocab_size) const;

  /// add_prefix_space and legacy of tokenizer_config.json.
  PrefixSpace prefix_space() const;

 private:
  /// The name of a special token ("eos_token") and the file that says so; "" when none does.
  struct Name {
    std::string text;
    std::filesystem::path file;
  };
  Name name_of(const std::string& key) const;
  TokenId find_special(const std::string& key, const Find& find, TokenId first_config_id) const;
  std::vector<FolderToken> all_added_tokens() const;
  std::vector<FolderToken> tokens_of_own_file() const;
  bool is_named_special(const std::string& content) const;

  std::filesystem::path folder_;
  Json tokenizer_config_;
  Json special_tokens_map_;  // empty where it does not count
};

/// A text that tells apart folders whose tokens differ; "" when `tokens` are none.
std::string describe_tokens(const std::vector<FolderToken>& tokens);

}  // namespace excitor
