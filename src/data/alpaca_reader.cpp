#include "alpaca_reader.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "json_rows.h"
#include "text_lines.h"

namespace excitor {
namespace {

/// A row that plainly is of another format is told so, not that it lacks `instruction`.
const char* other_format(const Json& row) {
  if (row.contains("instruction")) return nullptr;
  if (row.contains("conversations")) return "this is a ShareGPT row, a format that is not read yet";
  if (row.contains("messages")) return "this is an OpenAI chat row, a format that is not read yet";
  if (row.contains("text")) return "this is a row of plain text: set \"format\": \"text\" beside its path";
  return nullptr;
}

const std::string* required_text(const Json& row, const char* key, const Origin& origin, RowErrors& errors) {
  const std::string* text = required_string(row, key, origin, errors);
  if (!text || !is_blank(*text)) return text;
  errors.add(fmt::format("{}: \"{}\" is empty; fill it in or remove the row", origin.text(), key));
  return nullptr;
}

/// `input` as text ("" when absent or null); false after an error was added.
bool read_input(const Json& row, const Origin& origin, RowErrors& errors, std::string& input) {
  if (const auto found = row.find("input"); found == row.end() || found->is_null()) return true;
  const std::string* text = required_string(row, "input", origin, errors);
  if (text) input = *text;
  return text != nullptr;
}

}  // namespace

void read_alpaca(const std::filesystem::path& path, const PromptTemplate& prompt_template, RowErrors& errors,
                 SourceExamples& out) {
  for_each_json_row(path, errors, [&](const Json& row, const Origin& origin) {
    if (const char* other = other_format(row)) {
      errors.add(fmt::format("{}: {}", origin.text(), other));
      return;
    }
    const std::string* instruction = required_text(row, "instruction", origin, errors);
    const std::string* output = required_text(row, "output", origin, errors);
    std::string input;
    if (!read_input(row, origin, errors, input) || !instruction || !output) return;
    out.examples.push_back({.kind = SourceKind::conversation,
                            .pieces = prompt_template.conversation(
                                {{.role = Role::user, .content = *instruction, .input = std::move(input)},
                                 {.role = Role::assistant, .content = *output}}),
                            .origin = origin});
  });
}

}  // namespace excitor
