#include <string_view>

#include "scienceqa.h"

namespace excitor {

std::optional<int64_t> read_science_answer(const std::string& text, size_t choices) {
  constexpr std::string_view kPhrase = "The answer is ";
  std::optional<int64_t> answer;
  size_t found = 0;
  for (size_t at = text.find(kPhrase); at != std::string::npos; at = text.find(kPhrase, at + 1)) {
    const size_t letter = at + kPhrase.size();
    // Python's pattern ends in a dot, which is any character but a line end.
    if (letter + 1 >= text.size() || text[letter + 1] == '\n') continue;
    if (text[letter] < 'A' || text[letter] > 'Z') continue;
    answer = text[letter] - 'A';
    ++found;
  }
  const bool is_choice = found == 1 && *answer < static_cast<int64_t>(choices);
  return is_choice ? answer : std::nullopt;
}

}  // namespace excitor
