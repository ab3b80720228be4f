#include "chat_messages.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "blanks.h"
#include "json_rows.h"
#include "row_fields.h"

namespace excitor {
namespace {

using RoleNames = std::vector<std::pair<std::string, Role>>;

const RoleNames& sharegpt_roles() {
  static const RoleNames kNames{{"human", Role::user},          {"gpt", Role::assistant},
                                {"system", Role::system},       {"user", Role::user},
                                {"assistant", Role::assistant}, {"chatgpt", Role::assistant},
                                {"bing", Role::assistant},      {"bard", Role::assistant}};
  return kNames;
}

const RoleNames& openai_roles() {
  static const RoleNames kNames{{"system", Role::system},
                                {"developer", Role::system},  // OpenAI's later word for it
                                {"user", Role::user},
                                {"assistant", Role::assistant}};
  return kNames;
}

/// Equal but for capital letters.
bool is_same_word(std::string_view one, std::string_view other) {
  return std::ranges::equal(
      one, other, [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

Role role_under(const Json& message, const char* key, const RoleNames& names) {
  const std::string& name = string_under(message, key);
  std::string known;
  for (const auto& [word, role] : names) {
    if (is_same_word(word, name)) return role;
    known += (known.empty() ? "" : ", ") + word;
  }
  throw DataError(
      fmt::format("the role \"{}\" is not trained on; expected {}; remove such rows", name, known));
}

/// The elements of a row's list, each read by `read`; an error of one names its number.
std::vector<Message> read_messages(const Json& row, const char* key,
                                   const std::function<Message(const Json&)>& read) {
  if (!row.contains(key))
    throw DataError(fmt::format("\"{}\" is missing; found the keys: {}", key, keys_of(row)));
  const Json& list = row[key];
  if (!list.is_array())
    throw DataError(fmt::format("\"{}\" must be a list of messages; found {}", key, describe_value(list)));
  std::vector<Message> messages;
  for (const Json& element : list) {
    const size_t number = messages.size() + 1;
    try {
      if (!element.is_object())
        throw DataError(fmt::format("expected an object, found {}", describe_value(element)));
      messages.push_back(read(element));
      if (is_blank(messages.back().content) && messages.back().role == Role::user)
        throw DataError("its text is empty; fill it in or remove the row");
    } catch (const DataError& error) {
      throw DataError(fmt::format("message {}: {}", number, error.what()));
    }
  }
  return messages;
}

void refuse_tools(const Json& row) {
  for (const char* key : {"tools", "functions"}) {
    if (!is_nothing(row, key))
      throw DataError(
          fmt::format("\"{}\" is there, but calls of tools are not trained on; remove such rows", key));
  }
}

/// The text of a message's content: a string, or a list of parts of type text.
std::string openai_content(const Json& message) {
  if (message.contains("content") && message["content"].is_array()) {
    std::string text;
    for (const Json& part : message["content"]) {
      if (!part.is_object())
        throw DataError(
            fmt::format("a part of \"content\" must be an object; found {}", describe_value(part)));
      if (const std::string& type = string_under(part, "type"); type != "text") {
        throw DataError(fmt::format(
            "a part of type \"{}\" is not trained on in this format; expected \"text\"; remove such rows",
            type));
      }
      text += string_under(part, "text");
    }
    return text;
  }
  return string_under(message, "content");
}

/// What "weight" (OpenAI) and "train" (Axolotl) say: false for an answer that is context alone.
bool is_trained(const Json& message, Role role) {
  bool trained = true;
  if (!is_absent(message, "weight")) {
    const Json& weight = message["weight"];
    if (!weight.is_number() || (weight != 0 && weight != 1))
      throw DataError(fmt::format("\"weight\" must be 1 (trained on) or 0 (not trained on); found {}",
                                  describe_value(weight)));
    trained = weight == 1;
  }
  if (!is_absent(message, "train")) {
    const Json& train = message["train"];
    if (!train.is_boolean())
      throw DataError(fmt::format("\"train\" must be true or false; found {}", describe_value(train)));
    if (train == true && role != Role::assistant)
      throw DataError(
          "\"train\" is true, but answers alone are trained on; remove the key, or set "
          "data.train_on_inputs to train on all messages");
    trained = trained && train == true;
  }
  return trained;
}

/// A message of either format. `read_content` gives its text.
Message read_message(const Json& message, Role role,
                     const std::function<std::string(const Json&)>& read_content) {
  for (const char* key : {"tool_calls", "function_call"}) {
    if (!is_nothing(message, key))
      throw DataError(fmt::format("\"{}\": calls of tools are not trained on; remove such rows", key));
  }
  return {.role = role, .content = read_content(message), .trained = is_trained(message, role)};
}

Message openai_message(const Json& message) {
  return read_message(message, role_under(message, "role", openai_roles()), openai_content);
}

/// {from, value}, or {role, content} as newer files have it.
Message sharegpt_message(const Json& message) {
  const bool is_newer = message.contains("role") && !message.contains("from");
  const char *role = is_newer ? "role" : "from", *content = is_newer ? "content" : "value";
  return read_message(message, role_under(message, role, sharegpt_roles()),
                      [content](const Json& m) { return string_under(m, content); });
}

}  // namespace

std::vector<Message> sharegpt_messages(const Json& row) {
  refuse_tools(row);
  std::vector<Message> messages = read_messages(row, "conversations", sharegpt_message);
  if (is_absent(row, "system") || is_blank(string_under(row, "system"))) return messages;
  if (!messages.empty() && messages.front().role == Role::system)
    throw DataError("\"system\" stands beside a first message of the role system; keep one of them");
  messages.insert(messages.begin(), {.role = Role::system, .content = string_under(row, "system")});
  return messages;
}

std::vector<Message> openai_messages(const Json& row) {
  refuse_tools(row);
  return read_messages(row, "messages", openai_message);
}

}  // namespace excitor
