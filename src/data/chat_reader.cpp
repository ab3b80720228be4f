#include "chat_reader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "blanks.h"
#include "chat_messages.h"
#include "json_rows.h"
#include "row_format.h"

namespace excitor {
namespace {

/// Takes away what no answer is learnt from: a blank system message, answers to nothing, questions without
/// an answer. False when no answer is left.
bool trim_turns(std::vector<Message>& messages, DatasetReport& report) {
  if (!messages.empty() && messages.front().role == Role::system && is_blank(messages.front().content))
    messages.erase(messages.begin());
  const auto first = messages.begin() + (!messages.empty() && messages.front().role == Role::system ? 1 : 0);
  const auto question =
      std::find_if(first, messages.end(), [](const Message& m) { return m.role != Role::assistant; });
  int64_t leading = question - first;
  messages.erase(first, question);
  int64_t trailing = 0;
  for (; !messages.empty() && messages.back().role == Role::user; ++trailing) messages.pop_back();
  if (messages.empty() || messages.back().role != Role::assistant) {
    ++report.without_answer;
    return false;
  }
  report.leading_answers += leading;
  report.trailing_questions += trailing;
  return true;
}

}  // namespace

void read_chats(const std::filesystem::path& path, ChatFormat format, const PromptTemplate& prompt_template,
                RowErrors& errors, DatasetReport& report, const SourceSink& sink) {
  const bool is_sharegpt = format == ChatFormat::sharegpt;
  JsonRows rows(path, errors);
  while (const auto row = rows.next()) {
    if (is_of_other_format(row->value, is_sharegpt ? "sharegpt" : "openai", row->origin, errors)) continue;
    SourceExample example{.origin = row->origin};
    try {
      std::vector<Message> messages =
          is_sharegpt ? sharegpt_messages(row->value) : openai_messages(row->value);
      if (!trim_turns(messages, report)) continue;
      example.pieces = prompt_template.conversation(messages);
    } catch (const DataError& error) {
      errors.add(fmt::format("{}: {}", row->origin.text(), error.what()));
      continue;
    }
    sink(std::move(example));
  }
}

}  // namespace excitor
