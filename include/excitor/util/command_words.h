// A command in one text, taken apart.
#pragma once

#include <string>
#include <vector>

namespace excitor {

/// Splits a command as a POSIX shell splits words: blanks separate, '…' and "…" hold together, a backslash
/// takes the next character as it is (inside "…" before ", \, $ and ` only). Nothing else is special. Throws
/// UsageError for a quote without its end.
std::vector<std::string> split_words(const std::string& command);

}  // namespace excitor
