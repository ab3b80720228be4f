#include <excitor/data/prompts.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "json_rows.h"

namespace excitor {
namespace {

/// The text of a key that may be absent or null: "" then; null after an error.
const std::string* optional_string(const Json& value, const char* key, const Origin& origin,
                                   RowErrors& errors) {
  static const std::string kNone;
  const bool is_there = value.contains(key) && !value[key].is_null();
  return is_there ? required_string(value, key, origin, errors) : &kNone;
}

}  // namespace

std::vector<ImagePrompt> read_prompts(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path))
    throw ConfigError(fmt::format("{}: no such file of prompts", path.string()));
  RowErrors errors;
  std::vector<ImagePrompt> prompts;
  JsonRows rows(path, errors);
  while (const auto row = rows.next()) {
    const auto& [value, origin] = *row;
    // A row with neither is told of the first.
    const char* key = value.contains("instruction") && !value.contains("prompt") ? "instruction" : "prompt";
    const std::string* text = required_string(value, key, origin, errors);
    const std::string* input = optional_string(value, "input", origin, errors);
    const std::string* image = optional_string(value, "image", origin, errors);
    if (!text || !input || !image) continue;
    prompts.push_back({.instruction = {*text, *input}, .image = {}});
    if (!image->empty()) prompts.back().image = path.parent_path() / *image;
  }
  errors.throw_if_any();
  if (prompts.empty()) throw DataError(path.string() + ": holds no prompts");
  return prompts;
}

}  // namespace excitor
