// Prompts to answer, from a file.
#pragma once

#include <filesystem>
#include <vector>

#include <excitor/tokenizer/prompt_template.h>

namespace excitor {

/// What is asked, and the image that it is about.
struct ImagePrompt {
  Instruction instruction;
  std::filesystem::path image;  ///< empty: none
};

/// Rows {"prompt"}, or {"instruction"} with an optional {"input"}, of a JSONL file or a JSON array; "image"
/// is a path, relative to the file's folder. Other keys are ignored, so that an Alpaca file can be given as
/// it is. Throws DataError that names file and line (or row) of what can't be read.
std::vector<ImagePrompt> read_prompts(const std::filesystem::path& path);

}  // namespace excitor
