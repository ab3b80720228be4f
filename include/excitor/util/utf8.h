// UTF-8: what of a text is valid.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace excitor {

/// Offset of the first byte that is not valid UTF-8 (overlong forms and surrogates included), or npos.
size_t find_invalid_utf8(std::string_view text);

/// Length of the longest prefix that does not end inside a character: what of a stream may be shown already.
size_t complete_utf8_prefix(std::string_view text);

/// Valid UTF-8 with U+FFFD in the place of what is not: one for each longest beginning of a character (as
/// Unicode recommends, and Python's errors="replace" does).
std::string replace_invalid_utf8(std::string_view text);

/// Appends the code point `c`, at most U+10FFFF.
void append_utf8(std::string& to, char32_t c);

}  // namespace excitor
