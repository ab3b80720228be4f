#include "json_rows.h"

#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <excitor/util/error.h>

#include "blanks.h"

namespace excitor {
namespace {

/// One object printed over several lines: the first is not whole, and the second starts no new object.
void reject_single_object(const std::filesystem::path& path) {
  TextStream stream(path);
  std::vector<std::string> first;  // the first two lines that are not blank
  for (std::string line; first.size() < 2;) {
    if (!stream.take_line(line)) return;
    if (!is_blank(line)) first.emplace_back(trim(line));
  }
  if (first[0].ends_with('}') || first[1].starts_with('{')) return;
  throw DataError(fmt::format(
      "{}: holds one JSON object over several lines; expected an array of rows, [{{…}}, {{…}}], or "
      "one object a line (JSONL)",
      path.string()));
}

}  // namespace

JsonRows::JsonRows(const std::filesystem::path& path, RowErrors& errors)
    : stream_(path), errors_(errors), origin_{.file = std::make_shared<std::string>(path.string())} {
  const std::string& name = stream_.name();
  if (stream_.buffered().starts_with("version https://git-lfs"))
    throw DataError(name + ": a Git LFS pointer, not the data: run `git lfs pull` in its folder");
  stream_.skip_blanks();
  switch (stream_.peek()) {
    case TextStream::kEnd:
      throw DataError(name + ": the file is empty; expected examples");
    case '[':
      array_.emplace(stream_);
      origin_.is_line = false;
      origin_.number = -1;
      return;
    case '{':
      reject_single_object(path);
      return;
    default:
      throw DataError(fmt::format(
          "{}: neither a JSON array nor JSONL: expected \"[\" or \"{{\" first, found byte 0x{:02X}", name,
          stream_.peek()));
  }
}

std::optional<JsonRow> JsonRows::next() {
  for (std::optional<Json> value; array_ ? read_element(value) : read_line(value); value.reset()) {
    if (!value) continue;
    if (value->is_object()) return JsonRow{.value = *std::move(value), .origin = origin_};
    errors_.add(fmt::format("{}: a row must be an object like {{\"instruction\": …}}; found {}",
                            origin_.text(), describe_value(*value)));
  }
  return std::nullopt;
}

bool JsonRows::read_element(std::optional<Json>& value) {
  if (is_broken_) return false;
  ++origin_.number;
  std::string place;
  try {
    const auto element = array_->next();
    if (!element) return false;
    if (element->shifted) place = origin_.text() + ", columns counted from the row's beginning: ";
    value = parse_json(element->text, *origin_.file, JsonDialect::strict, static_cast<size_t>(element->line));
  } catch (const Error& error) {
    errors_.add(place + error.what());
    is_broken_ = true;
  }
  return true;
}

bool JsonRows::read_line(std::optional<Json>& value) {
  do {
    origin_.number = stream_.line();
    if (!stream_.take_line(line_)) return false;
  } while (is_blank(line_));
  try {
    value = parse_json(line_, *origin_.file, JsonDialect::strict, static_cast<size_t>(origin_.number));
  } catch (const ConfigError& error) {
    errors_.add(error.what());
  }
  return true;
}

std::string keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys.empty() ? "none" : fmt::format("{}", fmt::join(keys, ", "));
}

const std::string* required_string(const Json& row, const char* key, const Origin& origin,
                                   RowErrors& errors) {
  const auto found = row.find(key);
  if (found == row.end()) {
    errors.add(fmt::format("{}: \"{}\" is missing; found the keys: {}", origin.text(), key, keys_of(row)));
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
