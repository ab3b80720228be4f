// What the commands that read and write other programs' formats share.
#pragma once

#include <string>

namespace excitor {

/// "bfloat16": the type that a model folder stores its matrices in.
std::string stored_dtype(const std::string& folder);

/// Throws UsageError when something is at the place of a result already: nothing is overwritten.
void check_output_is_free(const std::string& output);

}  // namespace excitor
