// Instructions in Stanford Alpaca's format: rows of {instruction, input, output}.
#pragma once

#include <filesystem>

#include <excitor/tokenizer/prompt_template.h>

#include "row_errors.h"
#include "source_example.h"

namespace excitor {

/// Reads a JSON array or a JSONL file. `instruction` and `output` are strings that are not empty; `input` may
/// be absent, null or "". Other keys are ignored. Bad rows are added to `errors`.
void read_alpaca(const std::filesystem::path& path, const PromptTemplate& prompt_template, RowErrors& errors,
                 const SourceSink& sink);

}  // namespace excitor
