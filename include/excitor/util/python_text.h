// What Python's str methods do, as far as the rules of benchmarks ask for them. Texts are valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace excitor {

/// The characters of a text, and back.
std::u32string decode_utf8(std::string_view text);
std::string encode_utf8(std::u32string_view characters);

int64_t count_characters(std::string_view text);    ///< len
std::string lower_case(std::string_view text);      ///< lower: İ and final Σ included
std::string capitalise(std::string_view text);      ///< capitalize: the rest in lower case
std::string_view strip(std::string_view text);      ///< strip: Unicode's blanks
std::string_view strip_end(std::string_view text);  ///< rstrip
std::string replace_all(std::string text, std::string_view from, std::string_view to);  ///< replace

}  // namespace excitor
