#include "chat_reader.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/image_path.h>

#include "blanks.h"
#include "chat_messages.h"
#include "json_rows.h"
#include "left_out.h"
#include "row_format.h"

namespace excitor {
namespace {

/// Takes away what no answer is learnt from: a blank system message, answers to nothing, questions without
/// an answer. False when no answer to train on is left.
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
  if (std::ranges::none_of(messages,
                           [](const Message& m) { return m.role == Role::assistant && m.trained; })) {
    ++report.without_answer;
    return false;
  }
  report.leading_answers += leading;
  report.trailing_questions += trailing;
  return true;
}

/// The image that a row names; "": none. Throws DataError for one that can't be shown.
std::string image_of(const Json& row, ChatFormat format, const std::string& folder) {
  const Json image = row.contains("image") ? row["image"] : Json();
  if (image.is_null() || image == "") return "";
  if (!image.is_string())
    throw DataError(fmt::format("\"image\" must be a string; found {}", describe_value(image)));
  if (format != ChatFormat::llava)
    throw DataError(
        "\"image\" is there: set \"format\": \"llava\" and \"images\", its folder, beside the path");
  if (folder.empty())
    throw DataError("\"image\" is there: set \"images\", the folder of the images, beside the file's path");
  image_path(folder, image.get<std::string>());  // throws when it leaves the folder
  return image.get<std::string>();
}

/// Takes `<image>` out of the users' messages.
void remove_image_marks(std::vector<Message>& messages, bool has_image) {
  constexpr std::string_view kMark = "<image>";
  for (Message& message : messages) {
    if (message.role != Role::user || message.content.find(kMark) == std::string::npos) continue;
    if (!has_image) throw DataError("\"<image>\" stands in a message, but the row names no image");
    for (size_t at; (at = message.content.find(kMark)) != std::string::npos;)
      message.content.erase(at, kMark.size());
    message.content = trim(message.content);
    if (message.content.empty()) throw DataError("nothing but \"<image>\" stands in a message");
  }
}

/// The example of a row, or nothing when no answer is left. Throws DataError, without the row's place.
std::optional<SourceExample> read_chat(const JsonRow& row, ChatFormat format, const SourceFile& source,
                                       DatasetReport& report) {
  SourceExample example{.origin = row.origin};
  std::vector<Message> messages =
      format == ChatFormat::openai ? openai_messages(row.value) : sharegpt_messages(row.value);
  if (format != ChatFormat::openai) example.image = image_of(row.value, format, source.file.images);
  if (format == ChatFormat::llava) remove_image_marks(messages, !example.image.empty());
  if (!trim_turns(messages, report)) return std::nullopt;
  if (has_blank_answer(messages)) {
    leave_out(report, LeftOut::empty, row.origin, "an answer is empty");
    return std::nullopt;
  }
  example.pieces = source.prompt_template.conversation(messages);
  return example;
}

}  // namespace

void read_chats(const SourceFile& source, ChatFormat format, RowErrors& errors, DatasetReport& report,
                const SourceSink& sink) {
  JsonRows rows(source.file.path, errors);
  while (const auto row = rows.next()) {
    const char* kind = format == ChatFormat::openai ? "openai" : "sharegpt";
    if (is_of_other_format(row->value, kind, row->origin, errors)) continue;
    try {
      if (auto example = read_chat(*row, format, source, report)) sink(*std::move(example));
    } catch (const DataError& error) {
      errors.add(fmt::format("{}: {}", row->origin.text(), error.what()));
    }
  }
}

}  // namespace excitor
