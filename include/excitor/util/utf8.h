// UTF-8 checks.
#pragma once

#include <cstddef>
#include <string_view>

namespace excitor {

/// Offset of the first byte that is not valid UTF-8 (overlong forms and surrogates included), or npos.
size_t find_invalid_utf8(std::string_view text);

/// Length of the longest prefix that does not end inside a character: what of a stream may be shown already.
size_t complete_utf8_prefix(std::string_view text);

}  // namespace excitor
