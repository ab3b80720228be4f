#include "alpaca_reader.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "blanks.h"
#include "json_rows.h"
#include "row_format.h"

namespace excitor {
namespace {

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
                 const SourceSink& sink) {
  JsonRows rows(path, errors);
  while (const auto row = rows.next()) {
    const auto& [value, origin] = *row;
    if (is_of_other_format(value, "alpaca", origin, errors)) continue;
    const std::string* instruction = required_text(value, "instruction", origin, errors);
    const std::string* output = required_text(value, "output", origin, errors);
    std::string input;
    if (!read_input(value, origin, errors, input) || !instruction || !output) continue;
    sink({.kind = SourceKind::conversation,
          .pieces = prompt_template.conversation(
              {{.role = Role::user, .content = *instruction, .input = std::move(input)},
               {.role = Role::assistant, .content = *output}}),
          .origin = origin});
  }
}

}  // namespace excitor
