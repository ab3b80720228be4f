// The rows of a JSON array or of a JSONL file, one after the other.
#pragma once

#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

#include "json_array.h"
#include "row_errors.h"
#include "source_example.h"
#include "text_stream.h"

namespace excitor {

struct JsonRow {
  Json value;  ///< an object
  Origin origin;
};

/// Reads row after row; one is in memory at a time. Array or JSONL is told from the first character. Rows are
/// objects: another value, and a line of JSONL that is broken, is added to `errors` and passed over. A broken
/// array ends there with an error.
class JsonRows {
 public:
  /// Throws IoError, and DataError where nothing can be read row by row: an empty file, another kind of text.
  JsonRows(const std::filesystem::path& path, RowErrors& errors);

  JsonRows(const JsonRows&) = delete;
  JsonRows& operator=(const JsonRows&) = delete;

  std::optional<JsonRow> next();

 private:
  /// Reads one value; false at the end. `value` stays empty for a broken one, after an error was added.
  bool read_element(std::optional<Json>& value);
  bool read_line(std::optional<Json>& value);

  TextStream stream_;
  RowErrors& errors_;
  std::optional<JsonArray> array_;  ///< absent: JSONL
  Origin origin_;                   ///< of the row read last
  bool is_broken_ = false;          ///< the array
  std::string line_;
};

/// The string under `key`, or nullptr after an error was added: absent, or not a string.
const std::string* required_string(const Json& row, const char* key, const Origin& origin, RowErrors& errors);

/// "a, b, c": the keys of an object as a message shows them.
std::string keys_of(const Json& object);

}  // namespace excitor
