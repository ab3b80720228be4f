#include "tokenizer_json.h"

#include <limits>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/sha256.h>

#include "bpe_tokenizer.h"
#include "byte_characters.h"
#include "json_fields.h"
#include "tokenizer_folder.h"
#include "tokenizer_json_steps.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

Json parse(std::string_view content, const std::string& name) {
  try {
    return parse_json(content, name);
  } catch (const ConfigError& error) {
    throw CheckpointError(error.what());
  }
}

/// The tokens while they are gathered: by id and by spelling.
class Vocabulary {
 public:
  void add(const JsonFields& where, const std::string& text, const Json& id) {
    constexpr int64_t kLargestId = 1 << 24;
    if (!id.is_number_integer() || id < 0 || id > kLargestId)
      where.fail(fmt::format("\"{}\" has no usable id: expected an integer from 0 to {}, found {}", text,
                             kLargestId, describe_value(id)));
    const auto index = id.get<size_t>();
    if (index >= tokens_.size()) tokens_.resize(index + 1);
    if (!tokens_[index].empty())
      where.fail(fmt::format("the id {} stands twice, for \"{}\" and \"{}\"", index, tokens_[index], text));
    if (text.empty()) where.fail(fmt::format("the token of id {} is empty", index));
    tokens_[index] = text;
    ids_.emplace(text, static_cast<TokenId>(index));
  }

  /// -1: there is no such token.
  TokenId find(const std::string& text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? -1 : found->second;
  }
  const std::vector<std::string>& tokens() const { return tokens_; }

 private:
  std::vector<std::string> tokens_;  // [V]; "" where none is
  std::unordered_map<std::string, TokenId> ids_;
};

class TokenizerJsonReader {
 public:
  TokenizerJsonReader(const Json& json, const fs::path& path) : path_(path), file_(json, path.string()) {}

  BpeDescription read() {
    for (const char* key : {"version", "truncation", "padding"}) file_.get(key);
    JsonFields model(file_.get("model"), file_.where() + ": model");
    read_model(model);
    read_added_tokens();
    fill_tokens();
    read_tokenizer_json_steps(file_, d_);
    check_added_tokens();
    if (d_.alphabet == BpeAlphabet::bytes) spell_tokens_as_bytes(model);
    if (d_.alphabet == BpeAlphabet::characters && !byte_fallback_)
      model.fail(
          "neither byte_fallback nor a ByteLevel pre_tokenizer: characters without a token would be lost");
    read_bos_and_eos();
    file_.require_nothing_else();
    return std::move(d_);
  }

 private:
  void read_model(JsonFields& model) {
    const std::string type = model.get("type").is_null() ? "BPE" : model.type();
    if (type != "BPE") {
      model.fail(
          fmt::format("the type \"{}\" is not understood; LLaMA's tokenizers are \"BPE\"; use the "
                      "tokenizer that belongs to the model",
                      type));
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json& value = model.get(key);
      if (!value.is_null() && value != "") model.fail(fmt::format("{} is not understood", key));
    }
    if (const Json& dropout = model.get("dropout"); !dropout.is_null() && dropout != 0.0)
      model.fail("dropout is not understood: it makes ids random");
    model.get("unk_token");  // stands for characters without a token, of which there are none (find_bytes)
    model.flag("fuse_unk", false);
    byte_fallback_ = model.flag("byte_fallback", false);
    d_.ignore_merges = model.flag("ignore_merges", false);
    read_vocabulary(model);
    read_merges(model);
    model.require_nothing_else();
  }

  void read_vocabulary(JsonFields& model) {
    const Json& vocab = model.get("vocab");
    if (!vocab.is_object() || vocab.empty())
      model.fail(fmt::format("vocab: expected an object of tokens and ids, found {}",
                             vocab.is_object() ? "an empty one" : describe_value(vocab)));
    const JsonFields where(vocab, model.where() + ".vocab");
    for (const auto& [text, id] : vocab.items()) vocabulary_.add(where, text, id);
  }

  void read_merges(JsonFields& model) {
    const Json& merges = model.list("merges");
    d_.merges.reserve(merges.size());
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const auto [left, right] = halves_of(model, merges[rank], rank);
      const auto id_of = [&](const std::string& text) {
        const TokenId id = vocabulary_.find(text);
        if (id < 0)
          model.fail(fmt::format("merges[{}] ({}) needs the token \"{}\", which the vocab lacks", rank,
                                 merges[rank].dump(), text));
        return id;
      };
      const BpeMerges::Merge merge{.rank = static_cast<uint32_t>(rank), .id = id_of(left + right)};
      if (!d_.merges.add(id_of(left), id_of(right), merge))
        model.fail(fmt::format("merges[{}] ({}) stands there a second time", rank, merges[rank].dump()));
    }
  }

  /// A merge is "a b" or ["a", "b"].
  static std::pair<std::string, std::string> halves_of(const JsonFields& model, const Json& merge,
                                                       size_t rank) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      return {merge[0].get<std::string>(), merge[1].get<std::string>()};
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space != text.npos && text.find(' ', space + 1) == text.npos)
        return {text.substr(0, space), text.substr(space + 1)};
    }
    model.fail(fmt::format("merges[{}]: expected \"a b\" or [\"a\", \"b\"], found {}", rank, merge.dump()));
  }

  void read_added_tokens() {
    const Json& added = file_.get("added_tokens");
    if (added.is_null()) return;
    const Json& list = file_.list("added_tokens");
    for (size_t i = 0; i < list.size(); ++i) {
      JsonFields token(list[i], fmt::format("{}: added_tokens[{}]", file_.where(), i));
      read_added_token(token);
    }
  }

  void read_added_token(JsonFields& token) {
    const bool is_special = token.flag("special", false);
    const Json& id = token.get("id");
    AddedToken added{.content = token.text("content"),
                     .normalized = token.flag("normalized", !is_special),
                     .single_word = token.flag("single_word", false),
                     .lstrip = token.flag("lstrip", false),
                     .rstrip = token.flag("rstrip", false)};
    token.require_nothing_else();
    added.id = vocabulary_.find(added.content);
    const bool is_new = added.id < 0;
    if (is_new) {
      vocabulary_.add(token, added.content, id);
      added.id = id.get<TokenId>();
    } else if (id != added.id) {
      token.fail(
          fmt::format("\"{}\" has the id {}, but {} in the vocab", added.content, id.dump(), added.id));
    }
    if (is_special || is_new) kinds_[added.id] = is_special ? BpeTokenKind::control : BpeTokenKind::added;
    if (!is_special) d_.added.push_back(std::move(added));
  }

  void fill_tokens() {
    d_.name = path_.string();
    const std::vector<std::string>& texts = vocabulary_.tokens();
    for (size_t i = 0; i < texts.size(); ++i) {
      if (texts[i].empty())
        file_.fail(
            fmt::format("no token has the id {}, though there are higher ones; the file is damaged", i));
      const auto kind = kinds_.find(static_cast<TokenId>(i));
      d_.tokens.push_back(
          {.text = texts[i], .kind = kind == kinds_.end() ? BpeTokenKind::ordinary : kind->second});
    }
  }

  /// A token that a normalizer leaves nothing of would be found everywhere.
  void check_added_tokens() const {
    for (const AddedToken& token : d_.added) {
      if (token.normalized && apply_steps(token.content, d_.normalizer).empty())
        file_.fail(fmt::format("the added token \"{}\" is nothing once it is normalized", token.content));
    }
  }

  /// Added tokens are spelled as they are, all others in the byte-level characters.
  void spell_tokens_as_bytes(const JsonFields& model) {
    for (BpeToken& token : d_.tokens) {
      if (token.kind != BpeTokenKind::ordinary) continue;
      auto bytes = bytes_of_spelling(token.text);
      if (!bytes)
        model.fail(
            fmt::format("the token \"{}\" holds a character that stands for no byte, so the vocabulary "
                        "is not byte-level",
                        token.text));
      token.text = *std::move(bytes);
    }
  }

  void read_bos_and_eos() {
    const AddedAround around = read_post_processor(file_);
    const auto find = [this](const std::string& text) { return vocabulary_.find(text); };
    const SpecialTokens own{.bos = vocabulary_.find(around.before), .eos = vocabulary_.find(around.after)};
    const SpecialTokens special =
        TokenizerFolder(path_.parent_path()).special_tokens(find, {.otherwise = own});
    d_.bos = required(special.bos, "BOS", "bos_token");
    d_.eos = required(special.eos, "EOS", "eos_token");
  }

  TokenId required(TokenId id, const char* what, const char* key) const {
    if (id >= 0 && id < static_cast<TokenId>(d_.tokens.size())) return id;
    file_.fail(
        fmt::format("the {} token is not known: expected \"{}\" in tokenizer_config.json (or \"{}_id\" "
                    "in config.json) beside it, with an id below {}; found {}",
                    what, key, key, d_.tokens.size(), id < 0 ? "none" : std::to_string(id)));
  }

  const fs::path path_;
  JsonFields file_;
  Vocabulary vocabulary_;
  std::unordered_map<TokenId, BpeTokenKind> kinds_;  // of added tokens
  bool byte_fallback_ = false;
  BpeDescription d_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_hugging_face_tokenizer(std::string_view content, const fs::path& file) {
  const Json json = parse(content, file.string());
  BpeDescription description = TokenizerJsonReader(json, file).read();
  description.sha256 = sha256_hex(content);
  return make_bpe_tokenizer(std::move(description));
}

}  // namespace excitor
