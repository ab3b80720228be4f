// Regular expressions of Perl's and Python's kind, over UTF-8 (PCRE2): std::regex knows neither \p{L} nor
// look-ahead.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace excitor {

/// A compiled expression. Character classes (\w, \d, \s, \p{…}) and (?i) follow Unicode. Copies share what
/// was compiled; one object may be used by several threads at once.
class Regex {
 public:
  /// A match as offsets in bytes: [begin, end).
  struct Match {
    size_t begin = 0;
    size_t end = 0;
  };

  /// Throws ConfigError that names the offset and the reason when `pattern` is no regular expression.
  explicit Regex(std::string_view pattern);

  const std::string& pattern() const;
  /// True when the whole of `text` matches (Python's re.fullmatch). `text` must be valid UTF-8.
  bool matches_fully(std::string_view text) const;
  /// The first match that begins at `from` or later; look-behind sees what stands before. Matches may be
  /// empty. `text` must be valid UTF-8, and `from` the beginning of a character. Throws ConfigError when the
  /// search is given up, since the expression backtracks without end.
  std::optional<Match> find(std::string_view text, size_t from = 0) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace excitor
