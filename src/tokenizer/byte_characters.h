// The characters that byte-level vocabularies write bytes with, so that every token is printable text: "Ġthe"
// is " the" (GPT-2's encoder).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace excitor {

/// Each byte as its character.
std::string spell_bytes(std::string_view bytes);

/// The bytes behind a spelling; nothing when it holds a character that stands for no byte.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace excitor
