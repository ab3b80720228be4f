#include "json_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "text_lines.h"

namespace excitor {
namespace {

using RowVisitor = std::function<void(const Json&, const Origin&)>;

void visit_object(const Json& row, const Origin& origin, RowErrors& errors, const RowVisitor& visit) {
  if (row.is_object()) return visit(row, origin);
  errors.add(fmt::format("{}: a row must be an object like {{\"instruction\": …}}; found {}", origin.text(),
                         describe_value(row)));
}

void visit_array(std::string_view text, const std::string& name, RowErrors& errors, const RowVisitor& visit) {
  Json rows;
  try {
    rows = parse_json(text, name);
  } catch (const ConfigError& error) {
    throw DataError(error.what());
  }
  Origin origin{.file = std::make_shared<std::string>(name), .number = 0, .is_line = false};
  for (const Json& row : rows) {
    visit_object(row, origin, errors, visit);
    ++origin.number;
  }
}

/// One object printed over several lines: the first is not whole, and the second starts no new object.
void reject_single_object(std::string_view text, const std::string& name) {
  std::vector<std::string_view> first;  // the first two lines that are not blank
  for (Lines lines(text); first.size() < 2;) {
    const auto line = lines.next();
    if (!line) return;
    if (!is_blank(line->text)) first.push_back(trim(line->text));
  }
  if (first[0].ends_with('}') || first[1].starts_with('{')) return;
  throw DataError(fmt::format(
      "{}: holds one JSON object over several lines; expected an array of rows, [{{…}}, {{…}}], or "
      "one object a line (JSONL)",
      name));
}

void visit_line(const Line& line, const Origin& origin, RowErrors& errors, const RowVisitor& visit) {
  Json row;
  try {
    row = parse_json(line.text, *origin.file, JsonDialect::strict, origin.number);
  } catch (const ConfigError& error) {
    errors.add(error.what());
    return;
  }
  visit_object(row, origin, errors, visit);
}

void visit_lines(std::string_view text, const std::string& name, RowErrors& errors, const RowVisitor& visit) {
  reject_single_object(text, name);
  Origin origin{.file = std::make_shared<std::string>(name), .number = 0, .is_line = true};
  for (Lines lines(text); const auto line = lines.next();) {
    if (is_blank(line->text)) continue;
    origin.number = line->number;
    visit_line(*line, origin, errors, visit);
  }
}

}  // namespace

void for_each_json_row(const std::filesystem::path& path, RowErrors& errors, const RowVisitor& visit) {
  const MappedFile file(path);
  const std::string name = path.string();
  const std::string_view text = without_byte_order_mark(file.text());
  if (text.starts_with("version https://git-lfs"))
    throw DataError(name + ": a Git LFS pointer, not the data: run `git lfs pull` in its folder");
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) throw DataError(name + ": the file is empty; expected examples");
  switch (text[first]) {
    case '[':
      return visit_array(text, name, errors, visit);
    case '{':
      return visit_lines(text, name, errors, visit);
    default:
      throw DataError(fmt::format(
          "{}: neither a JSON array nor JSONL: expected \"[\" or \"{{\" first, found byte 0x{:02X}", name,
          static_cast<unsigned char>(text[first])));
  }
}

const std::string* required_string(const Json& row, const char* key, const Origin& origin,
                                   RowErrors& errors) {
  const auto found = row.find(key);
  if (found == row.end()) {
    std::vector<std::string> keys;
    for (const auto& item : row.items()) keys.push_back(item.key());
    errors.add(
        fmt::format("{}: \"{}\" is missing; found the keys: {}", origin.text(), key, fmt::join(keys, ", ")));
    return nullptr;
  }
  if (!found->is_string()) {
    errors.add(
        fmt::format("{}: \"{}\" must be a string; found {}", origin.text(), key, describe_value(*found)));
    return nullptr;
  }
  return &found->get_ref<const std::string&>();
}

}  // namespace excitor
