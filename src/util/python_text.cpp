#include <excitor/util/python_text.h>

#include <clocale>
#include <cwctype>
#include <stdexcept>

#include <excitor/util/utf8.h>

namespace excitor {
namespace {

static_assert(sizeof(wchar_t) == 4, "a wide character is a code point");

/// The system's Unicode tables, whatever the user's locale is.
class UnicodeTables {
 public:
  UnicodeTables() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (!locale_) throw std::runtime_error("the C library lacks the locale C.UTF-8");
    title_ = wctrans_l("totitle", locale_);
  }
  ~UnicodeTables() { freelocale(locale_); }
  UnicodeTables(const UnicodeTables&) = delete;
  UnicodeTables& operator=(const UnicodeTables&) = delete;

  char32_t lower(char32_t c) const { return towlower_l(static_cast<wint_t>(c), locale_); }
  char32_t title(char32_t c) const { return towctrans_l(static_cast<wint_t>(c), title_, locale_); }
  bool is_letter(char32_t c) const { return iswalpha_l(static_cast<wint_t>(c), locale_) != 0; }

 private:
  locale_t locale_;
  wctrans_t title_ = 0;
};

const UnicodeTables& tables() {
  static const UnicodeTables kTables;
  return kTables;
}

bool is_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

/// Σ at the end of a word is ς.
bool ends_word(const std::u32string& text, size_t i) {
  const bool before = i > 0 && tables().is_letter(text[i - 1]);
  const bool after = i + 1 < text.size() && tables().is_letter(text[i + 1]);
  return before && !after;
}

void append_lower(const std::u32string& text, size_t i, std::u32string& out) {
  constexpr char32_t kCapitalDottedI = 0x130, kCombiningDot = 0x307, kSigma = 0x3A3, kFinalSigma = 0x3C2;
  if (text[i] == kCapitalDottedI) {
    out += {U'i', kCombiningDot};
  } else if (text[i] == kSigma && ends_word(text, i)) {
    out += kFinalSigma;
  } else {
    out += tables().lower(text[i]);
  }
}

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

std::u32string decode_utf8(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char32_t c = length == 1 ? lead : lead & (0x7F >> length);
    for (size_t k = 1; k < length; ++k) c = c << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    out += c;
    i += length;
  }
  return out;
}

std::string encode_utf8(std::u32string_view characters) {
  std::string out;
  out.reserve(characters.size());
  for (const char32_t c : characters) append_utf8(out, c);
  return out;
}

int64_t count_characters(std::string_view text) {
  int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

std::string lower_case(std::string_view text) {
  if (is_ascii(text)) {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return out;
  }
  const std::u32string characters = decode_utf8(text);
  std::u32string out;
  for (size_t i = 0; i < characters.size(); ++i) append_lower(characters, i, out);
  return encode_utf8(out);
}

std::string capitalise(std::string_view text) {
  if (text.empty()) return {};
  constexpr char32_t kSharpS = 0xDF;
  const std::u32string characters = decode_utf8(text);
  std::u32string out;
  if (characters[0] == kSharpS)
    out = U"Ss";
  else
    out += tables().title(characters[0]);
  for (size_t i = 1; i < characters.size(); ++i) append_lower(characters, i, out);
  return encode_utf8(out);
}

std::string_view strip(std::string_view text) {
  while (const size_t size = blank_at_begin(text)) text.remove_prefix(size);
  return strip_end(text);
}

std::string_view strip_end(std::string_view text) {
  while (const size_t size = blank_at_end(text)) text.remove_suffix(size);
  return text;
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

}  // namespace excitor
