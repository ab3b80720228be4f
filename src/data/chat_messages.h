// One row of a chat format as messages.
#pragma once

#include <string>
#include <vector>

#include <excitor/tokenizer/prompt_template.h>
#include <excitor/util/json.h>

namespace excitor {

/// The messages of a row {conversations: [{from, value}], system?}. Throws DataError, without the row's
/// place: a wrong type, an unknown role, a blank message.
std::vector<Message> sharegpt_messages(const Json& row);

/// The messages of a row {messages: [{role, content}]}. Throws as sharegpt_messages(), and for what is not
/// trained on: images, tools, functions, messages with weight 0.
std::vector<Message> openai_messages(const Json& row);

}  // namespace excitor
