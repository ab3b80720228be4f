// Strict JSON text: what nlohmann::json accepts, less duplicate keys and invalid UTF-8, with errors that name
// the line.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace excitor {

/// Object keys keep the order of the file or of the code that wrote them.
using Json = nlohmann::ordered_json;

enum class JsonDialect { strict, with_comments };

/// Parses one JSON value. `name` (a file) and the line stand in messages; `first_line` is the text's own line
/// in that file, for rows of JSONL. Throws ConfigError with name:line:column for: an empty text, bad syntax,
/// trailing text, invalid UTF-8, a duplicate key, a number that does not fit its type (1e999), nesting deeper
/// than 200.
Json parse_json(std::string_view text, const std::string& name, JsonDialect dialect = JsonDialect::strict,
                size_t first_line = 1);

/// Reads and parses a file. Throws IoError when it can't be read, else as parse_json.
Json read_json_file(const std::filesystem::path& path, JsonDialect dialect = JsonDialect::strict);

/// "an object", "a list", "the string \"abc\"" (long ones cut), "the integer 3", "the number 2.5", "true",
/// "null": a value as a message shows it.
std::string describe_value(const Json& value);

}  // namespace excitor
