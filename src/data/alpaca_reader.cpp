#include "alpaca_reader.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "blanks.h"
#include "json_rows.h"
#include "left_out.h"
#include "row_fields.h"
#include "row_format.h"

namespace excitor {
namespace {

/// Under which keys a row has what the instruction is about, and the answer.
struct AlpacaKeys {
  const char* input = "input";
  const char* output = "output";
};

AlpacaKeys keys_of_row(const Json& row) {
  const bool is_dolly = row.contains("response") && !row.contains("output");
  return is_dolly ? AlpacaKeys{.input = "context", .output = "response"} : AlpacaKeys{};
}

bool is_pair_of_texts(const Json& value) {
  return value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_string();
}

/// The turns under `history`, [[question, answer], …].
std::vector<Message> history_of(const Json& row) {
  std::vector<Message> turns;
  if (is_nothing(row, "history")) return turns;
  const Json& history = row["history"];
  const bool is_list = history.is_array() && std::ranges::all_of(history, is_pair_of_texts);
  if (!is_list)
    throw DataError(
        fmt::format("\"history\" must be a list of pairs of texts, [[question, answer], …]; found {}",
                    describe_value(history)));
  for (const Json& pair : history) {
    turns.push_back({.role = Role::user, .content = pair[0]});
    if (is_blank(turns.back().content))
      throw DataError("a question of \"history\" is empty; fill it in or remove the row");
    turns.push_back({.role = Role::assistant, .content = pair[1]});
  }
  return turns;
}

/// The conversation that a row is; its answers may be blank.
std::vector<Message> alpaca_messages(const Json& row) {
  const AlpacaKeys keys = keys_of_row(row);
  const std::string &instruction = string_under(row, "instruction"), &output = string_under(row, keys.output);
  if (is_blank(instruction)) throw DataError("\"instruction\" is empty; fill it in or remove the row");
  std::vector<Message> messages = history_of(row);
  if (!is_absent(row, "system") && !is_blank(string_under(row, "system")))
    messages.insert(messages.begin(), {.role = Role::system, .content = string_under(row, "system")});
  messages.push_back({.role = Role::user,
                      .content = instruction,
                      .input = is_absent(row, keys.input) ? "" : string_under(row, keys.input)});
  messages.push_back({.role = Role::assistant, .content = output});
  return messages;
}

}  // namespace

void read_alpaca(const SourceFile& source, RowErrors& errors, DatasetReport& report, const SourceSink& sink) {
  JsonRows rows(source.file.path, errors);
  while (const auto row = rows.next()) {
    const auto& [value, origin] = *row;
    if (is_of_other_format(value, "alpaca", origin, errors)) continue;
    try {
      const std::vector<Message> messages = alpaca_messages(value);
      if (has_blank_answer(messages)) {
        const bool is_last = is_blank(messages.back().content);
        leave_out(report, LeftOut::empty, origin,
                  is_last ? fmt::format("\"{}\" is empty", keys_of_row(value).output)
                          : "an answer of \"history\" is empty");
        continue;
      }
      sink({.pieces = source.prompt_template.conversation(messages), .origin = origin});
    } catch (const DataError& error) {
      errors.add(fmt::format("{}: {}", origin.text(), error.what()));
    }
  }
}

}  // namespace excitor
