#include "row_format.h"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "json_rows.h"

namespace excitor {
namespace {

/// Keys in the order in which they decide: an Alpaca row often carries its whole prompt as `text`.
constexpr std::array<std::pair<const char*, const char*>, 6> kFormatOfKey{{{"instruction", "alpaca"},
                                                                           {"conversations", "sharegpt"},
                                                                           {"messages", "openai"},
                                                                           {"output", "alpaca"},
                                                                           {"caption", "caption"},
                                                                           {"text", "text"}}};

constexpr std::array<std::pair<const char*, const char*>, 4> kProperNames{
    {{"alpaca", "an Alpaca"}, {"sharegpt", "a ShareGPT"}, {"openai", "an OpenAI chat"}, {"text", "a text"}}};

std::string proper_name(const std::string& format) {
  for (const auto& [word, name] : kProperNames) {
    if (format == word) return name;
  }
  return "a " + format;
}

std::string detect_format_of_rows(const std::filesystem::path& path) {
  RowErrors errors;
  const auto first = JsonRows(path, errors).next();
  if (!first || !errors.empty()) return "alpaca";  // whose reader names what is wrong
  const std::string format = format_of_row(first->value);
  if (!format.empty()) return format;
  throw DataError(
      fmt::format("{}: the format can't be told from the row's keys: {}; expected \"instruction\" (alpaca), "
                  "\"conversations\" (sharegpt), \"messages\" (openai), \"caption\" (caption) or \"text\" "
                  "(text); COCO's and Karpathy's documents are told by \"format\" beside the path alone",
                  first->origin.text(), keys_of(first->value)));
}

}  // namespace

std::string format_of_row(const Json& row) {
  if (row.contains("conversations") && row.contains("image")) return "llava";
  for (const auto& [key, format] : kFormatOfKey) {
    if (row.contains(key)) return format;
  }
  return "";
}

std::string detect_format(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  if (extension == ".json" || extension == ".jsonl") return detect_format_of_rows(path);
  if (extension == ".txt") return "text";
  throw ConfigError(
      fmt::format("{}: the format can't be told from the name (.json, .jsonl: rows; .txt: text); set "
                  "\"format\" beside the path",
                  path.string()));
}

bool is_of_other_format(const Json& row, const std::string& format, const Origin& origin, RowErrors& errors) {
  for (const auto& [key, of_key] : kFormatOfKey) {
    if (of_key == format && row.contains(key)) return false;
  }
  const std::string other = format_of_row(row);
  if (other.empty()) return false;
  errors.add(fmt::format("{}: this is {} row, but the file is read as \"{}\"", origin.text(),
                         proper_name(other), format),
             fmt::format("a file holds rows of one format: split it, or, if all are such rows, set "
                         "\"format\": \"{}\" beside its path",
                         other));
  return true;
}

}  // namespace excitor
