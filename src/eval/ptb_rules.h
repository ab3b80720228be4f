// The Penn Treebank tokeniser's rules: of all that match at a place the one that reaches farthest makes the
// token.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace excitor {

/// What becomes of the matched characters.
enum class PtbAction {
  keep,          ///< as they stand
  word,          ///< without soft hyphens
  plain_quotes,  ///< curly apostrophes become straight ones
  brackets,      ///< ( and ) become -LRB- and -RRB-, spaces no-break spaces
  glue,          ///< spaces become no-break spaces
  dash,          ///< --
  dashes,        ///< three or four hyphens: --
  ellipsis,      ///< ...
  fixed,         ///< another text stands for the character (currency, fractions, brackets)
  ampersand,     ///< &
  ampersands,    ///< &amp; becomes &
  quotes,        ///< each curly quote as the straight ones below
  open_quote,    ///< `
  close_quote,   ///< '
  open_quotes,   ///< ``
  close_quotes,  ///< ''
  less,          ///< <
  greater,       ///< >
  drop,          ///< no token
};

struct PtbMatch {
  size_t length = 0;  ///< characters that the token takes; 0: no rule matches
  PtbAction action = PtbAction::drop;
};

/// The token that begins at `from`. `kinds`: read_ptb_text().
PtbMatch match_ptb_rule(std::string_view kinds, size_t from);

}  // namespace excitor
