// Rows that are left out without an error: each is counted, and the first are named.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <excitor/data/dataset_report.h>
#include <excitor/tokenizer/prompt_template.h>

#include "blanks.h"
#include "source_example.h"

namespace excitor {

/// Why a row is left out.
enum class LeftOut { empty, prompt_too_long };

/// Counts the row in `report` and, while there are few, names it with its place in the file.
inline void leave_out(DatasetReport& report, LeftOut why, const Origin& origin, std::string reason) {
  ++(why == LeftOut::empty ? report.empty : report.prompt_too_long);
  report.name({.place = origin.place(), .reason = std::move(reason)});
}

/// True when an assistant's message says nothing; nothing could be learnt from it but to say nothing.
inline bool has_blank_answer(const std::vector<Message>& messages) {
  return std::ranges::any_of(
      messages, [](const Message& m) { return m.role == Role::assistant && is_blank(m.content); });
}

}  // namespace excitor
