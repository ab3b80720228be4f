#include "chat_messages.h"

#include <functional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "blanks.h"
#include "json_rows.h"

namespace excitor {
namespace {

using RoleNames = std::vector<std::pair<std::string, Role>>;

const RoleNames& sharegpt_roles() {
  static const RoleNames kNames{{"human", Role::user},
                                {"gpt", Role::assistant},
                                {"system", Role::system},
                                {"user", Role::user},
                                {"assistant", Role::assistant}};
  return kNames;
}

const RoleNames& openai_roles() {
  static const RoleNames kNames{{"system", Role::system},
                                {"developer", Role::system},  // OpenAI's later word for it
                                {"user", Role::user},
                                {"assistant", Role::assistant}};
  return kNames;
}

bool is_absent(const Json& object, const char* key) {
  return !object.contains(key) || object[key].is_null();
}

/// Absent, null, "" or []: what tables write where there is nothing.
bool is_nothing(const Json& object, const char* key) {
  return is_absent(object, key) || object[key] == "" || object[key] == Json::array();
}

const std::string& string_under(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end())
    throw DataError(fmt::format("\"{}\" is missing; found the keys: {}", key, keys_of(object)));
  if (!found->is_string())
    throw DataError(fmt::format("\"{}\" must be a string; found {}", key, describe_value(*found)));
  return found->get_ref<const std::string&>();
}

Role role_under(const Json& message, const char* key, const RoleNames& names) {
  const std::string& name = string_under(message, key);
  std::string known;
  for (const auto& [word, role] : names) {
    if (word == name) return role;
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
      if (is_blank(messages.back().content) && messages.back().role != Role::system)
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

Message openai_message(const Json& message) {
  const Role role = role_under(message, "role", openai_roles());
  for (const char* key : {"tool_calls", "function_call"}) {
    if (!is_nothing(message, key))
      throw DataError(fmt::format("\"{}\": calls of tools are not trained on; remove such rows", key));
  }
  if (message.contains("weight") && message["weight"] != 1)
    throw DataError(fmt::format(
        "\"weight\": every answer is trained on with weight 1; found {}; remove the key or the row",
        describe_value(message["weight"])));
  return {.role = role, .content = openai_content(message)};
}

}  // namespace

std::vector<Message> sharegpt_messages(const Json& row) {
  refuse_tools(row);
  std::vector<Message> messages = read_messages(row, "conversations", [](const Json& message) {
    return Message{.role = role_under(message, "from", sharegpt_roles()),
                   .content = string_under(message, "value")};
  });
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
