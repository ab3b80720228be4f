#include <excitor/data/prompts.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "json_rows.h"

namespace excitor {

std::vector<Instruction> read_prompts(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path))
    throw ConfigError(fmt::format("{}: no such file of prompts", path.string()));
  RowErrors errors;
  std::vector<Instruction> prompts;
  JsonRows rows(path, errors);
  while (const auto row = rows.next()) {
    const auto& [value, origin] = *row;
    // A row with neither is told of the first.
    const char* key = value.contains("instruction") && !value.contains("prompt") ? "instruction" : "prompt";
    const std::string* text = required_string(value, key, origin, errors);
    const bool has_input = value.contains("input") && !value["input"].is_null();
    const std::string* input = has_input ? required_string(value, "input", origin, errors) : nullptr;
    if (text && (input || !has_input)) prompts.push_back({*text, input ? *input : ""});
  }
  errors.throw_if_any();
  if (prompts.empty()) throw DataError(path.string() + ": holds no prompts");
  return prompts;
}

}  // namespace excitor
