// One row of a chat format as messages.
#pragma once

#include <string>
#include <vector>

#include <excitor/tokenizer/prompt_template.h>
#include <excitor/util/json.h>

namespace excitor {

/// The messages of a row {conversations: [{from, value} or {role, content}], system?}. An answer with weight
/// 0 or train false is not trained on. Throws DataError, without the row's place: a wrong type, an unknown
/// role, another weight, a blank question, calls of tools.
std::vector<Message> sharegpt_messages(const Json& row);

/// The messages of a row {messages: [{role, content}]}. As sharegpt_messages(); images are refused, too.
std::vector<Message> openai_messages(const Json& row);

}  // namespace excitor
