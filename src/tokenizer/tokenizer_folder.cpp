#include "tokenizer_folder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <excitor/util/error.h>

#include "json_fields.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kSpecialTokensMap = "special_tokens_map.json";
constexpr const char* kAddedTokens = "added_tokens.json";
constexpr const char* kAddedTokensDecoder = "added_tokens_decoder";

/// An empty object where there is no such file.
Json read_if_there(const fs::path& path) {
  std::error_code refused;
  if (!fs::exists(path, refused)) return Json::object();
  Json json;
  try {
    json = read_json_file(path);
  } catch (const ConfigError& error) {
    throw CheckpointError(error.what());
  }
  if (!json.is_object())
    throw CheckpointError(
        fmt::format("{}: expected an object, found {}", path.string(), describe_value(json)));
  return json;
}

/// A token is written as a string, or as an object with the string as its `content`.
const Json& content_of(const Json& token) {
  return token.is_object() && token.contains("content") ? token["content"] : token;
}

TokenId id_in(const fs::path& file, const std::string& key) {
  const Json config = read_if_there(file);
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return -1;
  const Json id = found->is_array() && !found->empty() ? found->front() : *found;
  if (id.is_number_integer() && id >= 0 && id <= std::numeric_limits<TokenId>::max())
    return id.get<TokenId>();
  throw CheckpointError(fmt::format("{}: {}: expected a token id, or a list of some; found {}", file.string(),
                                    key, describe_value(*found)));
}

TokenId parse_id(const std::string& text, const std::string& where) {
  TokenId id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size() && id >= 0) return id;
  throw CheckpointError(fmt::format("{}: expected a token id, found \"{}\"", where, text));
}

/// An entry of added_tokens_decoder, with the defaults of Hugging Face's AddedToken.
FolderToken read_token(const std::string& key, const Json& json, const std::string& where) {
  JsonFields fields(json, where + ": " + key);
  const bool is_special = fields.flag("special", false);
  FolderToken token{.token = {.content = fields.text("content"),
                              .id = parse_id(key, where),
                              .normalized = fields.flag("normalized", !is_special),
                              .single_word = fields.flag("single_word", false),
                              .lstrip = fields.flag("lstrip", false),
                              .rstrip = fields.flag("rstrip", false)},
                    .is_special = is_special};
  if (token.token.content.empty()) fields.fail("content is empty");
  return token;
}

}  // namespace

TokenizerFolder::TokenizerFolder(const fs::path& folder)
    : folder_(folder), tokenizer_config_(read_if_there(folder / kTokenizerConfig)) {
  special_tokens_map_ = tokenizer_config_.contains(kAddedTokensDecoder)
                            ? Json::object()
                            : read_if_there(folder / kSpecialTokensMap);
}

SpecialTokens TokenizerFolder::special_tokens(const Find& find, const OwnSpecialTokens& own) const {
  const TokenId bos = find_special("bos_token", find, own.first_config_id);
  const TokenId eos = find_special("eos_token", find, own.first_config_id);
  return {.bos = bos >= 0 ? bos : own.otherwise.bos, .eos = eos >= 0 ? eos : own.otherwise.eos};
}

TokenizerFolder::Name TokenizerFolder::name_of(const std::string& key) const {
  for (const auto& [json, file] : {std::pair(&special_tokens_map_, kSpecialTokensMap),
                                   std::pair(&tokenizer_config_, kTokenizerConfig)}) {
    const auto found = json->find(key);
    if (found == json->end() || found->is_null() || content_of(*found) == "") continue;
    const Json& name = content_of(*found);
    if (name.is_string()) return {.text = name.get<std::string>(), .file = folder_ / file};
    throw CheckpointError(fmt::format("{}: {} is {}, which is no token of the vocabulary",
                                      (folder_ / file).string(), key, describe_value(name)));
  }
  return {};
}

TokenId TokenizerFolder::find_special(const std::string& key, const Find& find,
                                      TokenId first_config_id) const {
  if (const Name name = name_of(key); !name.text.empty()) {
    if (const TokenId id = find(name.text); id >= 0) return id;
    throw CheckpointError(fmt::format("{}: {} is \"{}\", which is no token of the vocabulary",
                                      name.file.string(), key, name.text));
  }
  for (const char* file : {"config.json", "generation_config.json"}) {
    if (const TokenId id = id_in(folder_ / file, key + "_id"); id >= first_config_id) return id;
  }
  return -1;
}

std::vector<FolderToken> TokenizerFolder::added_tokens(int64_t vocab_size) const {
  const Json rows = read_if_there(folder_ / "config.json").value("vocab_size", Json());
  const int64_t end = rows.is_number_integer() ? rows.get<int64_t>() : std::numeric_limits<int64_t>::max();
  std::vector<FolderToken> added;
  int64_t expected = vocab_size;
  for (const FolderToken& token : all_added_tokens()) {
    const int64_t id = token.token.id;
    if (id >= end) break;
    if (id > expected) {
      throw CheckpointError(fmt::format("{}: an added token has the id {}, but none has the id {}",
                                        folder_.string(), id, expected));
    }
    if (id == expected) ++expected;
    added.push_back(token);
  }
  return added;
}

std::vector<FolderToken> TokenizerFolder::all_added_tokens() const {
  std::vector<FolderToken> tokens;
  if (const auto decoder = tokenizer_config_.find(kAddedTokensDecoder);
      decoder != tokenizer_config_.end() && decoder->is_object()) {
    const std::string where = (folder_ / kTokenizerConfig).string() + ": " + kAddedTokensDecoder;
    for (const auto& [key, json] : decoder->items()) {
      FolderToken token = read_token(key, json, where);
      token.is_special = token.is_special || is_named_special(token.token.content);
      tokens.push_back(std::move(token));
    }
  } else {
    tokens = tokens_of_own_file();
  }
  std::ranges::sort(tokens, {}, [](const FolderToken& token) { return token.token.id; });
  const auto twice =
      std::ranges::adjacent_find(tokens, {}, [](const FolderToken& token) { return token.token.id; });
  if (twice == tokens.end()) return tokens;
  throw CheckpointError(
      fmt::format("{}: the id {} stands twice among the added tokens", folder_.string(), twice->token.id));
}

std::vector<FolderToken> TokenizerFolder::tokens_of_own_file() const {
  const fs::path file = folder_ / kAddedTokens;
  const Json ids = read_if_there(file);
  std::vector<FolderToken> tokens;
  for (const auto& [content, id] : ids.items()) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<TokenId>::max() || content.empty())
      throw CheckpointError(fmt::format("{}: \"{}\": expected a token and its id, found {}", file.string(),
                                        content, describe_value(id)));
    const bool is_special = is_named_special(content);
    tokens.push_back({.token = {.content = content, .id = id.get<TokenId>(), .normalized = !is_special},
                      .is_special = is_special});
  }
  return tokens;
}

/// What is BOS, EOS, padding and the like is special, whatever else is said of it.
bool TokenizerFolder::is_named_special(const std::string& content) const {
  constexpr std::array kNames = {"bos_token", "eos_token", "unk_token", "sep_token",
                                 "pad_token", "cls_token", "mask_token"};
  constexpr std::array kLists = {"additional_special_tokens", "extra_special_tokens"};
  for (const Json* file : {&special_tokens_map_, &tokenizer_config_}) {
    JsonFields fields(*file, folder_.string());
    for (const char* key : kNames) {
      if (content_of(fields.get(key)) == content) return true;
    }
    for (const char* key : kLists) {
      for (const auto& [place, token] : fields.get(key).items()) {
        if (content_of(token) == content) return true;
      }
    }
  }
  return false;
}

PrefixSpace TokenizerFolder::prefix_space() const {
  const std::string where = (folder_ / kTokenizerConfig).string();
  JsonFields config(tokenizer_config_, where);
  if (!config.flag("add_prefix_space", true)) return PrefixSpace::never;
  return config.flag("legacy", false) ? PrefixSpace::always : PrefixSpace::first;
}

std::string describe_tokens(const std::vector<FolderToken>& tokens) {
  std::string text;
  for (const auto& [token, is_special] : tokens) {
    text += Json({token.content, token.id, is_special, token.normalized, token.single_word, token.lstrip,
                  token.rstrip})
                .dump();
  }
  return text;
}

}  // namespace excitor
