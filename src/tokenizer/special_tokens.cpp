#include "special_tokens.h"

#include <charconv>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/json.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

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

class SpecialTokenFinder {
 public:
  SpecialTokenFinder(const fs::path& folder, const std::function<TokenId(const std::string&)>& find)
      : folder_(folder), find_(find), tokenizer_config_(read_if_there(folder / "tokenizer_config.json")) {}

  /// `key` is "bos_token" or "eos_token".
  TokenId find(const std::string& key, TokenId otherwise) const {
    if (const TokenId id = by_name(key); id >= 0) return id;
    for (const char* file : {"config.json", "generation_config.json"}) {
      if (const TokenId id = by_id(folder_ / file, key + "_id"); id >= 0) return id;
    }
    return otherwise;
  }

 private:
  /// A name is a string, or an object with the string as its `content`.
  TokenId by_name(const std::string& key) const {
    const auto found = tokenizer_config_.find(key);
    if (found == tokenizer_config_.end() || found->is_null()) return -1;
    const Json name = found->is_object() && found->contains("content") ? found->at("content") : *found;
    const TokenId id = name.is_string() ? find_(name.get<std::string>()) : -1;
    if (id >= 0) return id;
    throw CheckpointError(fmt::format("{}: {} is {}, which is no token of the vocabulary",
                                      (folder_ / "tokenizer_config.json").string(), key,
                                      describe_value(name)));
  }

  static TokenId by_id(const fs::path& file, const std::string& key) {
    const Json config = read_if_there(file);
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) return -1;
    const Json id = found->is_array() && !found->empty() ? found->front() : *found;
    if (id.is_number_integer() && id >= 0 && id <= std::numeric_limits<TokenId>::max())
      return id.get<TokenId>();
    throw CheckpointError(fmt::format("{}: {}: expected a token id, or a list of some; found {}",
                                      file.string(), key, describe_value(*found)));
  }

  const fs::path& folder_;
  const std::function<TokenId(const std::string&)>& find_;
  Json tokenizer_config_;
};

/// Id -> content; the keys of one file are ids, of the other contents.
using AddedTokens = std::map<int64_t, std::string>;

int64_t parse_id(const std::string& text, const std::string& where) {
  int64_t id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size() && id >= 0) return id;
  throw CheckpointError(fmt::format("{}: expected a token id, found \"{}\"", where, text));
}

AddedTokens added_by_tokenizer_config(const Json& decoder, const std::string& where) {
  AddedTokens tokens;
  for (const auto& [key, token] : decoder.items()) {
    const int64_t id = parse_id(key, where);
    if (!token.is_object() || !token.contains("content") || !token["content"].is_string())
      throw CheckpointError(fmt::format("{}: {}: expected an object with \"content\"", where, key));
    tokens[id] = token["content"].get<std::string>();
  }
  return tokens;
}

AddedTokens added_by_own_file(const Json& file, const std::string& where) {
  AddedTokens tokens;
  for (const auto& [content, id] : file.items()) {
    if (!id.is_number_integer())
      throw CheckpointError(
          fmt::format("{}: \"{}\": expected a token id, found {}", where, content, describe_value(id)));
    if (!tokens.emplace(id.get<int64_t>(), content).second)
      throw CheckpointError(fmt::format("{}: the id {} stands twice", where, id.dump()));
  }
  return tokens;
}

}  // namespace

SpecialTokens find_special_tokens(const fs::path& folder,
                                  const std::function<TokenId(const std::string&)>& find,
                                  const SpecialTokens& otherwise) {
  const SpecialTokenFinder finder(folder, find);
  return {.bos = finder.find("bos_token", otherwise.bos), .eos = finder.find("eos_token", otherwise.eos)};
}

std::vector<std::string> read_added_tokens(const fs::path& folder, int64_t vocab_size) {
  const Json config = read_if_there(folder / "config.json");
  const Json rows = config.value("vocab_size", Json());
  const int64_t end = rows.is_number_integer() ? rows.get<int64_t>() : std::numeric_limits<int64_t>::max();

  const fs::path tokenizer_config = folder / "tokenizer_config.json", own_file = folder / "added_tokens.json";
  const Json decoder = read_if_there(tokenizer_config).value("added_tokens_decoder", Json());
  const AddedTokens tokens =
      decoder.is_object()
          ? added_by_tokenizer_config(decoder, tokenizer_config.string() + ": added_tokens_decoder")
          : added_by_own_file(read_if_there(own_file), own_file.string());
  std::vector<std::string> added;
  for (auto token = tokens.lower_bound(vocab_size); token != tokens.end() && token->first < end; ++token) {
    const int64_t expected = vocab_size + static_cast<int64_t>(added.size());
    if (token->first != expected) {
      throw CheckpointError(fmt::format("{}: an added token has the id {}, but none has the id {}",
                                        folder.string(), token->first, expected));
    }
    added.push_back(token->second);
  }
  return added;
}

}  // namespace excitor
