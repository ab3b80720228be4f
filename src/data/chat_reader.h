// Conversations of several turns: ShareGPT's and LLaVA's rows {conversations}, OpenAI's rows {messages}.
#pragma once

#include <excitor/data/dataset_report.h>

#include "row_errors.h"
#include "source_example.h"
#include "source_reader.h"

namespace excitor {

enum class ChatFormat { sharegpt, openai, llava };

/// Reads a JSON array or a JSONL file. Every answer of an assistant is supervised but those with weight 0
/// (OpenAI) or train false (Axolotl), which are context alone.
///
/// sharegpt: messages {from: human|user|gpt|chatgpt|bing|bard|assistant|system, value}, in newer files {role,
/// content}; a system message may stand under the row's key `system` instead (LLaMA-Factory). openai:
/// messages {role: system|developer|user|assistant, content}, content being a string or a list of {type:
/// "text", text}, joined as they are. A blank system message is none. llava: sharegpt with an image under the
/// row's key `image`, for which `<image>` stands in a user's message, and is taken out; rows without an image
/// are texts.
///
/// Answers before the first question are left out (as FastChat does), so are questions after the last answer,
/// conversations in which no answer to train on is left, and those with a blank answer; all are counted in
/// `report`. Bad rows are added to `errors`: other roles (tools, functions), images in the other formats or
/// outside the image folder, tool calls, other weights, blank questions, roles that do not take turns (what
/// two messages of one speaker in a row mean differs from trainer to trainer, so it is not guessed).
void read_chats(const SourceFile& source, ChatFormat format, RowErrors& errors, DatasetReport& report,
                const SourceSink& sink);

}  // namespace excitor
