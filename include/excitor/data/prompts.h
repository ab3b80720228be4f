// Prompts to answer, from a file.
#pragma once

#include <filesystem>
#include <vector>

#include <excitor/tokenizer/prompt_template.h>

namespace excitor {

/// Rows {"prompt"}, or {"instruction"} with an optional {"input"}, of a JSONL file or a JSON array. Other
/// keys are ignored, so that an Alpaca file can be given as it is. Throws DataError that names file and line
/// (or row) of what can't be read.
std::vector<Instruction> read_prompts(const std::filesystem::path& path);

}  // namespace excitor
