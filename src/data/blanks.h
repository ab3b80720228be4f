// What counts as blank in a text of data.
#pragma once

#include <string_view>

namespace excitor {

inline constexpr std::string_view kBlanks = " \t\r\n\f\v";

inline bool is_blank(std::string_view text) {
  return text.find_first_not_of(kBlanks) == text.npos;
}

inline std::string_view trim(std::string_view text) {
  if (is_blank(text)) return {};
  const size_t first = text.find_first_not_of(kBlanks);
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace excitor
