// Rows of a file of questions (JSONL, or a JSON array), and what is asked of their fields.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

namespace excitor {

/// An object with its place, which stands in front of every error.
class QuestionRow {
 public:
  QuestionRow(Json value, std::string place) : value_(std::move(value)), place_(std::move(place)) {}

  const Json& value() const { return value_; }
  const std::string& place() const { return place_; }  ///< "file.jsonl:17" or "file.json[17]"
  bool has(const char* key) const { return value_.contains(key) && !value_[key].is_null(); }
  /// The field of that type. Throws DataError that says what was found.
  std::string text(const char* key) const;
  /// At least `least` texts.
  std::vector<std::string> texts(const char* key, size_t least) const;
  [[noreturn]] void fail(const std::string& reason) const;

 private:
  const Json& field(const char* key) const;

  Json value_;
  std::string place_;
};

/// All rows, at least one. Throws ConfigError for a missing file, DataError for broken JSON, rows that are no
/// objects, and a file without rows; messages name file and line.
std::vector<QuestionRow> read_question_rows(const std::filesystem::path& path);

/// One JSON document. Throws ConfigError for a missing file, DataError "file:line:column: …" for broken JSON.
Json read_document(const std::filesystem::path& path);

/// Throws ConfigError that says what `what` (a file, or a folder) was expected there.
void require_file(const std::filesystem::path& path, const std::string& what);
void require_folder(const std::filesystem::path& path, const std::string& what);

}  // namespace excitor
