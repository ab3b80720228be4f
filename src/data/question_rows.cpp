#include <excitor/data/question_rows.h>

#include <string_view>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// parse_json, whose errors are the data's here.
Json parse_data(std::string_view text, const std::string& name, size_t line) {
  try {
    return parse_json(text, name, JsonDialect::strict, line);
  } catch (const ConfigError& error) {
    throw DataError(error.what());
  }
}

std::string keys_of_row(const Json& row) {
  std::string keys;
  for (const auto& item : row.items()) keys += (keys.empty() ? "" : ", ") + item.key();
  return keys.empty() ? "none" : keys;
}

void add_row(Json value, const std::string& place, std::vector<QuestionRow>& rows) {
  QuestionRow row(std::move(value), place);
  if (!row.value().is_object()) row.fail("expected an object, found " + describe_value(row.value()));
  rows.push_back(std::move(row));
}

std::string read_text(const fs::path& path) {
  std::string text = read_file(path);
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  if (text.starts_with("version https://git-lfs"))
    throw DataError(path.string() + ": a Git LFS pointer, not the data: run `git lfs pull` in its folder");
  return text;
}

}  // namespace

const Json& QuestionRow::field(const char* key) const {
  const auto found = value_.find(key);
  if (found == value_.end())
    fail(fmt::format("\"{}\" is missing; found the keys: {}", key, keys_of_row(value_)));
  return *found;
}

std::string QuestionRow::text(const char* key) const {
  const Json& value = field(key);
  if (!value.is_string()) fail(fmt::format("\"{}\" must be a string; found {}", key, describe_value(value)));
  return value.get<std::string>();
}

std::vector<std::string> QuestionRow::texts(const char* key, size_t least) const {
  const Json& value = field(key);
  if (!value.is_array() || value.size() < least) {
    fail(fmt::format("\"{}\" must be a list of at least {} texts; found {}", key, least,
                     value.is_array() ? fmt::format("{} in it", value.size()) : describe_value(value)));
  }
  std::vector<std::string> texts;
  for (const Json& element : value) {
    if (!element.is_string())
      fail(fmt::format("\"{}\" must hold texts; found {}", key, describe_value(element)));
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

void QuestionRow::fail(const std::string& reason) const {
  throw DataError(fmt::format("{}: {}", place_, reason));
}

std::vector<QuestionRow> read_question_rows(const fs::path& path) {
  require_file(path, "a JSONL file");
  const std::string text = read_text(path), name = path.string();
  std::vector<QuestionRow> rows;
  const size_t first = text.find_first_not_of(kBlanks);
  if (first != std::string::npos && text[first] == '[') {
    for (Json& value : parse_data(text, name, 1))
      add_row(std::move(value), fmt::format("{}[{}]", name, rows.size()), rows);
  } else {
    size_t line = 1;
    for (size_t begin = 0; begin < text.size(); ++line) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const std::string_view part = std::string_view(text).substr(begin, end - begin);
      if (part.find_first_not_of(kBlanks) != part.npos)
        add_row(parse_data(part, name, line), fmt::format("{}:{}", name, line), rows);
      begin = end + 1;
    }
  }
  if (rows.empty()) throw DataError(name + ": holds no rows");
  return rows;
}

Json read_document(const fs::path& path) {
  require_file(path, "a JSON file");
  return parse_data(read_text(path), path.string(), 1);
}

void require_file(const fs::path& path, const std::string& what) {
  std::error_code refused;
  if (fs::is_regular_file(path, refused)) return;
  const bool there = fs::exists(path, refused);
  throw ConfigError(
      fmt::format("{}: {}; expected {}", path.string(), there ? "is no file" : "no such file", what));
}

void require_folder(const fs::path& path, const std::string& what) {
  std::error_code refused;
  if (fs::is_directory(path, refused)) return;
  const bool there = fs::exists(path, refused);
  throw ConfigError(
      fmt::format("{}: {}; expected {}", path.string(), there ? "is no folder" : "no such folder", what));
}

}  // namespace excitor
