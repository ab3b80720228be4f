// Conversations of several turns: ShareGPT's rows {conversations} and OpenAI's rows {messages}.
#pragma once

#include <filesystem>

#include <excitor/data/dataset_report.h>
#include <excitor/tokenizer/prompt_template.h>

#include "row_errors.h"
#include "source_example.h"

namespace excitor {

enum class ChatFormat { sharegpt, openai };

/// Reads a JSON array or a JSONL file. Every answer of an assistant is supervised.
///
/// sharegpt: messages {from: human|user|gpt|assistant|system, value}; a system message may stand under the
/// row's key `system` instead (LLaMA-Factory). openai: messages {role: system|developer|user|assistant,
/// content}, content being a string or a list of {type: "text", text}, joined as they are. A blank system
/// message is none.
///
/// Answers before the first question are left out (as FastChat does), so are questions after the last answer,
/// and conversations in which no answer is left; all are counted in `report`. Bad rows are added to `errors`:
/// other roles (tools, functions), images, tool calls, messages with weight 0, blank messages, roles that do
/// not take turns.
void read_chats(const std::filesystem::path& path, ChatFormat format, const PromptTemplate& prompt_template,
                RowErrors& errors, DatasetReport& report, const SourceSink& sink);

}  // namespace excitor
