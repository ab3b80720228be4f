// The characters of a text as the Penn Treebank tokeniser tells them apart: one byte each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace excitor {

/// Stands for a character outside ASCII. ASCII stands for itself.
namespace ptb {
inline constexpr char kLetter = '\xC0';
inline constexpr char kDigit = '\xC1';
inline constexpr char kSpace = '\xC2';
inline constexpr char kUnknown = '\xC3';  ///< left out
inline constexpr char kSymbol = '\xC4';   ///< a token of its own
inline constexpr char kSoftHyphen = '\xC5';
inline constexpr char kHyphen = '\xC6';
inline constexpr char kApostrophe = '\xC7';   ///< ’
inline constexpr char kOpenQuote = '\xC8';    ///< ‘
inline constexpr char kCloseQuote = '\xC9';   ///< ›
inline constexpr char kOpenQuotes = '\xCA';   ///< “ «
inline constexpr char kCloseQuotes = '\xCB';  ///< ” »
inline constexpr char kDash = '\xCC';
inline constexpr char kEllipsis = '\xCD';
inline constexpr char kFraction = '\xCE';
inline constexpr char kCurrency = '\xCF';
inline constexpr char kSuperscript = '\xD0';
inline constexpr char kSubscript = '\xD1';
inline constexpr char kRaisedSign = '\xD2';
inline constexpr char kFractionSlash = '\xD3';
inline constexpr char kNoBreakSpace = '\xD4';
}  // namespace ptb

struct PtbText {
  std::u32string characters;
  std::string kinds;  ///< parallel: what each character stands for
};

/// `text` is valid UTF-8.
PtbText read_ptb_text(std::string_view text);

}  // namespace excitor
