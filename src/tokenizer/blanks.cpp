#include "blanks.h"

namespace excitor {
namespace {

/// The characters for which Python's str.isspace is true.
constexpr std::string_view kBlanks[] = {
    " ",      "\t",     "\n",     "\v",     "\f",     "\r",     "\x1C",   "\x1D",   "\x1E",   "\x1F",
    "\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};

size_t blank_at_begin(std::string_view text) {
  for (const std::string_view blank : kBlanks) {
    if (text.starts_with(blank)) return blank.size();
  }
  return 0;
}

size_t blank_at_end(std::string_view text) {
  for (const std::string_view blank : kBlanks) {
    if (text.ends_with(blank)) return blank.size();
  }
  return 0;
}

}  // namespace

std::string_view strip(std::string_view text) {
  while (const size_t size = blank_at_begin(text)) text.remove_prefix(size);
  while (const size_t size = blank_at_end(text)) text.remove_suffix(size);
  return text;
}

}  // namespace excitor
