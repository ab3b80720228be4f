#include "special_tokens.h"

#include <limits>

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

}  // namespace

SpecialTokens find_special_tokens(const fs::path& folder,
                                  const std::function<TokenId(const std::string&)>& find,
                                  const SpecialTokens& otherwise) {
  const SpecialTokenFinder finder(folder, find);
  return {.bos = finder.find("bos_token", otherwise.bos), .eos = finder.find("eos_token", otherwise.eos)};
}

}  // namespace excitor
