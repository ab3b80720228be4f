// Lines of a text in memory.
#pragma once

#include <cstdint>
#include <optional>
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

/// Windows editors begin a UTF-8 file with U+FEFF.
inline std::string_view without_byte_order_mark(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

struct Line {
  std::string_view text;  ///< without its line end, LF or CR LF
  int64_t number = 0;     ///< from 1
};

/// The lines of a text, one after the other.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  std::optional<Line> next() {
    if (rest_.empty()) return std::nullopt;
    const size_t end = rest_.find('\n');
    Line line{.text = rest_.substr(0, end), .number = ++number_};
    rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 1);
    if (line.text.ends_with('\r')) line.text.remove_suffix(1);
    return line;
  }

 private:
  std::string_view rest_;
  int64_t number_ = 0;
};

}  // namespace excitor
