// The rows of a JSON array or of a JSONL file, one after the other.
#pragma once

#include <filesystem>
#include <functional>

#include <excitor/util/json.h>

#include "row_errors.h"
#include "source_example.h"

namespace excitor {

/// Calls `visit` for each row, which must be an object. Array or JSONL is told from the first character. A
/// JSONL file is parsed line by line; its blank lines are skipped, and a broken line is added to `errors`
/// like any other bad row. Throws DataError where nothing can be read row by row: an empty file, a broken
/// array, another kind of JSON.
void for_each_json_row(const std::filesystem::path& path, RowErrors& errors,
                       const std::function<void(const Json& row, const Origin& origin)>& visit);

/// The string under `key`, or nullptr after an error was added: absent, or not a string.
const std::string* required_string(const Json& row, const char* key, const Origin& origin, RowErrors& errors);

}  // namespace excitor
