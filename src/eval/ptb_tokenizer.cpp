#include <excitor/eval/ptb_tokenizer.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include <excitor/eval/caption_metrics.h>
#include <excitor/util/python_text.h>

#include "ptb_characters.h"
#include "ptb_rules.h"

namespace excitor {
namespace {

/// Characters with a text of their own.
const std::map<char32_t, std::string>& fixed_texts() {
  static const std::map<char32_t, std::string> kTexts{
      {U'(', "-lrb-"}, {U')', "-rrb-"}, {U'[', "-lsb-"}, {U']', "-rsb-"}, {U'{', "-lcb-"}, {U'}', "-rcb-"},
      {0x80, "$"},     {0xA2, "cents"}, {0xA3, "#"},     {0xA4, "$"},     {0x20A0, "$"},   {0x20AC, "$"},
      {0xBC, "1/4"},   {0xBD, "1/2"},   {0xBE, "3/4"},   {0x2153, "1/3"}, {0x2154, "2/3"}};
  return kTexts;
}

bool is_curly_apostrophe(char32_t c) {
  return c == 0x92 || c == 0x2019 || c == 0x203A;
}

bool is_curly_open(char32_t c) {
  return c == 0x91 || c == 0x2018 || c == 0x201B || c == 0x2039;
}

/// The characters of a token one by one.
std::string spell(std::u32string_view characters, PtbAction action) {
  std::string text;
  for (const char32_t c : characters) {
    const bool is_space = c == ' ' || c == '\t' || c == 0x3000 || c == 0xA0 || (c >= 0x2000 && c <= 0x200A);
    if (action == PtbAction::word && c == 0xAD) continue;
    const bool straightens = action == PtbAction::plain_quotes || action == PtbAction::quotes;
    if (straightens && is_curly_apostrophe(c))
      text += '\'';
    else if (straightens && is_curly_open(c))
      text += '`';
    else if (straightens && (c == 0x93 || c == 0x201C || c == 0xAB))
      text += "``";
    else if (straightens && (c == 0x94 || c == 0x201D || c == 0xBB))
      text += "''";
    else if (action == PtbAction::brackets && (c == '(' || c == ')'))
      text += c == '(' ? "-lrb-" : "-rrb-";
    else if ((action == PtbAction::brackets || action == PtbAction::glue) && is_space)
      text += "\u00A0";
    else
      text += encode_utf8(std::u32string_view(&c, 1));
  }
  return text;
}

/// Java's: Σ stays σ where digits, dots or a hyphen alone part it from a later letter.
std::string java_lower_case(const std::string& text) {
  const std::string lower = lower_case(text);
  if (text.find("Σ") == std::string::npos) return lower;
  PtbText spelled = read_ptb_text(lower);
  const auto is_letter = [](char kind) { return kind == ptb::kLetter || (kind >= 'a' && kind <= 'z'); };
  const auto is_passed = [](char kind) { return (kind >= '0' && kind <= '9') || kind == '.'; };
  for (size_t i = 0; i < spelled.kinds.size(); ++i) {
    if (spelled.characters[i] != U'ς') continue;
    auto next =
        std::find_if_not(spelled.kinds.begin() + static_cast<int64_t>(i) + 1, spelled.kinds.end(), is_passed);
    if (next != spelled.kinds.end() && *next == '-') ++next;
    if (next != spelled.kinds.end() && is_letter(*next)) spelled.characters[i] = U'σ';
  }
  return encode_utf8(spelled.characters);
}

std::string token_text(std::u32string_view characters, PtbAction action) {
  switch (action) {
    case PtbAction::dash:
      return "--";
    case PtbAction::dashes:
      return characters.size() == 3 || characters.size() == 4 ? "--" : spell(characters, action);
    case PtbAction::ellipsis:
      return "...";
    case PtbAction::ampersand:
      return "&";
    case PtbAction::ampersands:
      return java_lower_case(replace_all(spell(characters, action), "&amp;", "&"));
    case PtbAction::open_quote:
      return "`";
    case PtbAction::close_quote:
      return "'";
    case PtbAction::open_quotes:
      return "``";
    case PtbAction::close_quotes:
      return "''";
    case PtbAction::less:
      return "<";
    case PtbAction::greater:
      return ">";
    case PtbAction::fixed: {
      const auto found = fixed_texts().find(characters[0]);
      return found == fixed_texts().end() ? spell(characters, action) : found->second;
    }
    case PtbAction::word:
      if (characters == U"\u00AD") return "-";
      [[fallthrough]];
    default:
      return java_lower_case(spell(characters, action));
  }
}

/// Most words of captions: letters of ASCII, small but for the first, up to a blank, or a comma and a blank.
/// What has a rule of its own is left to the rules.
size_t plain_word(std::string_view kinds, size_t from) {
  const auto is_blank = [&](size_t i) { return i >= kinds.size() || kinds[i] == ' ' || kinds[i] == '\n'; };
  const bool is_capital = kinds[from] >= 'A' && kinds[from] <= 'Z';
  size_t end = from + (is_capital ? 1 : 0);
  while (end < kinds.size() && kinds[end] >= 'a' && kinds[end] <= 'z') ++end;
  if (end == from || !(is_blank(end) || (kinds[end] == ',' && is_blank(end + 1)))) return 0;
  constexpr std::array<std::string_view, 6> kSplit{"annot", "onna", "otta",
                                                   "emme",  "imme", "anna"};  // behind c, g, …
  const std::string_view rest = kinds.substr(from + 1, end - from - 1);
  return std::ranges::find(kSplit, rest) == kSplit.end() ? end - from : 0;
}

/// A dot or comma before a blank, which coco-caption leaves out in any case.
bool is_plain_stop(std::string_view kinds, size_t i) {
  const char next = i + 1 < kinds.size() ? kinds[i + 1] : '\n';
  return (kinds[i] == ',' && next == ' ') || ((kinds[i] == '.' || kinds[i] == ',') && next == '\n');
}

bool is_dropped(std::string_view token) {
  constexpr std::array<std::string_view, 17> kPunctuation{"''",    "'",     "``", "`",   "-LRB-", "-RRB-",
                                                          "-LCB-", "-RCB-", ".",  "?",   "!",     ",",
                                                          ":",     "-",     "--", "...", ";"};
  return std::ranges::find(kPunctuation, token) != kPunctuation.end();
}

std::vector<std::vector<std::string>> tokenize_lines(const std::vector<std::string>& lines) {
  std::string joined;
  for (const std::string& line : lines) {
    if (&line != &lines.front()) joined += '\n';
    joined += replace_all(line, "\n", " ");
  }
  PtbText text = read_ptb_text(joined);
  // Whatever else Java takes for the end of a line would part a caption in two.
  for (size_t i = 0; i < text.characters.size(); ++i) {
    const char32_t c = text.characters[i];
    if (c == '\r' || c == 0x0B || c == 0x0C || c == 0x85 || c == 0x2028 || c == 0x2029) text.kinds[i] = ' ';
  }
  std::vector<std::vector<std::string>> tokens(1);
  for (size_t i = 0; i < text.kinds.size();) {
    if (text.kinds[i] == '\n') {
      tokens.emplace_back();
      ++i;
    } else if (text.kinds[i] == ' ' || is_plain_stop(text.kinds, i)) {
      ++i;
    } else if (const size_t length = plain_word(text.kinds, i)) {
      std::string& word = tokens.back().emplace_back(text.kinds.substr(i, length));
      if (word[0] <= 'Z') word[0] = static_cast<char>(word[0] - 'A' + 'a');
      i += length;
    } else {
      const PtbMatch match = match_ptb_rule(text.kinds, i);
      const size_t taken = std::max<size_t>(match.length, 1);
      if (match.action != PtbAction::drop)
        tokens.back().push_back(
            token_text(std::u32string_view(text.characters).substr(i, taken), match.action));
      i += taken;
    }
  }
  tokens.resize(lines.size());
  return tokens;
}

}  // namespace

std::vector<std::string> ptb_words(const std::vector<std::string>& lines) {
  std::vector<std::string> texts;
  for (const auto& tokens : tokenize_lines(lines)) {
    std::string text;
    for (const std::string& token : tokens) {
      if (token.empty() || is_dropped(token)) continue;
      if (!text.empty()) text += ' ';
      text += token;
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

std::vector<CaptionedImage> tokenize_captions(const std::vector<RawCaptions>& images) {
  std::vector<std::string> captions, references;
  for (const RawCaptions& image : images) {
    captions.push_back(image.caption);
    references.insert(references.end(), image.references.begin(), image.references.end());
  }
  const std::vector<std::string> caption_words = ptb_words(captions), reference_words = ptb_words(references);
  std::vector<CaptionedImage> tokenized;
  auto reference = reference_words.begin();
  for (size_t i = 0; i < images.size(); ++i) {
    const auto end = reference + std::ssize(images[i].references);
    tokenized.push_back({.id = images[i].id, .caption = caption_words[i], .references = {reference, end}});
    reference = end;
  }
  return tokenized;
}

}  // namespace excitor
