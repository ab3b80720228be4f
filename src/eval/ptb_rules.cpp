// Patterns over the bytes of read_ptb_text(). Found by comparing with the tokeniser itself, text by text.
#include "ptb_rules.h"

#include <array>
#include <bitset>
#include <cctype>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace excitor {
namespace {

/// An expression that is matched from a place on, as far as it reaches (POSIX's leftmost longest).
class LongestMatch {
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  };

 public:
  explicit LongestMatch(const std::string& pattern) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_ANCHORED,
                              &error, &offset, nullptr));
    if (!code_) throw std::logic_error("ptb rule at " + std::to_string(offset) + ": " + pattern);
    const uint8_t* bits = nullptr;
    pcre2_pattern_info(code_.get(), PCRE2_INFO_FIRSTBITMAP, &bits);
    for (size_t byte = 0; byte < 256; ++byte)
      may_begin_[byte] = !bits || (bits[byte / 8] >> byte % 8 & 1) != 0;
    uint32_t first = 0;
    pcre2_pattern_info(code_.get(), PCRE2_INFO_FIRSTCODETYPE, &first);
    if (first != 1) return;
    pcre2_pattern_info(code_.get(), PCRE2_INFO_FIRSTCODEUNIT, &first);
    may_begin_.reset();
    for (const int byte : {std::tolower(static_cast<int>(first)), std::toupper(static_cast<int>(first))})
      may_begin_.set(static_cast<size_t>(byte));  // [nN] is one letter of either case to PCRE2
  }

  /// Characters matched; 0: none.
  size_t at(std::string_view text, size_t from) const {
    if (from < text.size() && !may_begin_[static_cast<unsigned char>(text[from])]) return 0;
    thread_local const std::unique_ptr<pcre2_match_data, Free> data(pcre2_match_data_create(4, nullptr));
    if (!data) throw std::bad_alloc();
    std::array<int, 4096> workspace;  // states of the automaton
    const int found = pcre2_dfa_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                      from, 0, data.get(), nullptr, workspace.data(), workspace.size());
    if (found < 0) return 0;
    return pcre2_get_ovector_pointer(data.get())[1] - from;
  }

 private:
  std::unique_ptr<pcre2_code, Free> code_;
  std::bitset<256> may_begin_;  // the bytes that a match can begin with
};

// Parts of patterns.
const std::string kL = R"((?:[A-Za-z\xC0\xC5]|&[aeiouAEIOU](?:acute|grave|uml);))";  // a letter
const std::string kD = R"([0-9\xC1])";
const std::string kLD = R"((?:[A-Za-z0-9\xC0\xC1\xC5]|&[aeiouAEIOU](?:acute|grave|uml);))";
const std::string kAposEtc = R"((?:['\xC7`\xC8]|&apos;))";
const std::string kPlain = R"([A-Za-z0-9\xC0\xC1])";  // a letter or digit, but no soft hyphen
const std::string kPart = "(?:[dDoOlL]" + kAposEtc + kPlain + ")?" + kPlain + "+";
const std::string kJoinedParts = kPart + "(?:[-_\\xC6]" + kPart + ")*";
const std::string kSp = R"([ \t\xC2\xD4])";
const std::string kSpNl = R"([ \t\n\xC2\xD4])";
const std::string kApos = R"((?:['\xC7]|&apos;))";
const std::string kWord = kL + kLD + "*(?:[.!?]" + kL + kLD + "*)*";
const std::string kNum = "(?:" + kD + "+|" + kD + "*(?:[.:,]" + kD + "+)+)";
const std::string kAux = "(?:" + kApos + "(?:[msdMSD]|re|ve|ll|RE|VE|LL|Re|Ve|Ll|rE|vE|lL))";
const std::string kNot = "(?:[nN]" + kAposEtc + "[tT])";
const std::string kTagName = "[A-Za-z][A-Za-z0-9:.-]*";
const std::string kTagValue = R"((?:'[^'\n]*'|"[^"\n]*"|)" + kTagName + ")";
const std::string kTagFields = "(?:[ ]+(?:" + kTagName + "|" + kTagName + "[ ]*=[ ]*" + kTagValue + "))*";
const std::string kSgml =
    "<(?:[!?][A-Za-z-][^>\\n]*|/" + kTagName + "[ ]*|" + kTagName + kTagFields + "[ ]*/?)[ ]*>";
const std::string kSentEnd = "(?:" + kSpNl + "(?:" + kSpNl + "|[A-Z]|" + kSgml + "))";
// Abbreviations that may end a sentence, and those that do not.
const std::string kAbbreviations =
    "(?i:ph\\.d|ala|al|apr|ariz|assn|aug|bhd|bldg|blvd|bros|calif|co|colo|conn|corp|cos|ct|dak|dec|esq|est|"
    "etc|"
    "ext|feb|fla|fri|ga|inc|ind|intl|jan|jr|jul|jun|kan|kans|ky|ltd|mar|md|mich|minn|mo|mon|mont|neb|nev|"
    "nov|oct|okla|penn|plc|ppte|pptes|ppty|pptys|pte|ptes|pty|ptys|rd|rt|sep|sept|seq|sq|sr|sys|tel|tenn|"
    "thu|thurs|tue|tues|univ|va|vt|wed|wis|wisc|wyo)";
const std::string kTitles =
    "(?i:adj|adm|adv|alex|assoc|asst|atty|attys|ave|brig|capt|cf|cie|cmdr|col|comdr|cpl|dept|det|dr|drs|"
    "elec|ens|ft|gen|gov|govs|hon|insp|invt|jos|lieut|lt|maj|messrs|mfg|mlle|mme|mr|mrs|ms|msgr|mt|mtg|"
    "natl|pfc|ph|pres|prof|profs|pvt|rep|reps|rev|sen|sens|sfc|sgt|spc|st|ste|supt|supts|treas|vs|wm)";
const std::string kBeforeNumbers = "(?i:art|ca|fig|figs|no|nos|op|p|pp|prop)";
// Words that begin a sentence, so that the letter with a dot before them ends one.
const std::string kStarters =
    "(?:A|A(?i:bout|ccording|dditionally|fter|n|s|t)|B(?i:ut)|E(?i:arlier)|H(?i:e|er|ere|owever)|I(?i:f|n|t)|"
    "L(?i:ast)|"
    "M(?i:any|ore|r\\.|s\\.)|N(?i:ow)|O(?i:nce|ne|ther|ur)|S(?i:he|ince|o|ome|uch)|T(?i:hat|he|heir|hen|here|"
    "hese|hey|his)|"
    "W(?i:e|hat|hen|hile)|Y(?i:et|ou))";
const std::string kAcronym = R"([A-Za-z](?:\.[A-Za-z])+)";

struct Rule {
  Rule(std::string pattern, PtbAction what, size_t kept = 0, const std::string& follow = "")
      : match(follow.empty() ? pattern : pattern + "(?=" + follow + ")"), action(what), keep(kept) {
    if (!follow.empty()) after = std::make_unique<LongestMatch>(follow);
  }
  LongestMatch match;
  std::unique_ptr<LongestMatch> after;  ///< must follow, and counts for the comparison of lengths
  PtbAction action;
  size_t keep;  ///< characters that the token takes of those matched; 0: all
};

void add_words(std::vector<Rule>& rules) {
  using enum PtbAction;
  rules.emplace_back("(?i:cannot|gonna|gotta|lemme|gimme|wanna)", keep, 3);
  rules.emplace_back(kApos + "[tT][iI][sS]", plain_quotes, 2);
  rules.emplace_back(kApos + "[tT][wW][aA][sS]", plain_quotes, 2);
  rules.emplace_back(kSgml, glue);
  rules.emplace_back(R"(&(?:MD|mdash|ndash);|\xCC)", dash);
  rules.emplace_back("&amp;", ampersand);
  rules.emplace_back("&(?i:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);", keep);
  rules.emplace_back(kWord, word, 0, kAux);
  rules.emplace_back("[A-Za-z\\xC5]*[A-MO-Za-mo-z]\\xC5*", word, 0, kNot);
  rules.emplace_back(kWord, word);
  rules.emplace_back(kJoinedParts, word);
  rules.emplace_back("[cC]\\+\\+|[cCfF]#", keep);
}

void add_apostrophes(std::vector<Rule>& rules) {
  using enum PtbAction;
  rules.emplace_back("(?:" + kApos + "[nN]" + kApos + "?|[lLdDjJyY]" + kApos + "|(?i:dunkin|somethin|ol)" +
                         kApos + "|" + kApos + "(?i:em|cause|til|till)|(?i:c" + kApos + "mon|nat" + kApos +
                         "l|ma" + kApos + "am|cap" + kApos + "n|ne" + kApos + "er|e" + kApos + "er|c" +
                         kApos + "est))",
                     keep);
  rules.emplace_back("[A-HJ-XZn]" + kAposEtc + R"([A-Za-z\xC0]{2})" + kPlain + "*", keep);
  rules.emplace_back("[A-Za-z\\xC0]+[aeiouyAEIOUY]" + kAposEtc + "[aeiouA-Z][A-Za-z\\xC0]*", keep);
  rules.emplace_back(kAux, plain_quotes, 0, "(?:[^A-Za-z]|$)");
  rules.emplace_back(kNot, plain_quotes, 0, "(?:[^A-Za-z]|$)");
  rules.emplace_back("['\\xC7][0-9]0s", keep);
  rules.emplace_back("['\\xC7][0-9][0-9]", keep, 0, kSpNl);
}

void add_addresses(std::vector<Rule>& rules) {
  using enum PtbAction;
  const std::string kPath = R"((?:/[^ \t\n"<>|()]+[^ \t\n"<>|.!?(){},-])?)";
  rules.emplace_back(R"(https?://[^ \t\n"<>|(){}]+[^ \t\n"<>|.!?(){},-])", keep);
  rules.emplace_back(R"(www\.(?:[^ \t\n"<>|.!?(){},]+\.)+[a-zA-Z]{2,4})" + kPath, keep);
  rules.emplace_back("(?:[^ \\t\\n\"`'<>|!?(){}$,-_]+\\.)+(?:com|net|org|edu)" + kPath, keep);
  const std::string kMailPart = R"([^ \t\n"<>|(){}.\xD4]+)";
  rules.emplace_back(R"((?:<|&lt;)?[a-zA-Z0-9][^ \t\n"<>|()\xD4{}]*@)" + ("(?:" + kMailPart + "\\.)*") +
                         kMailPart + "(?:>|&gt;)?",
                     keep);
  rules.emplace_back("@[A-Za-z_][A-Za-z_0-9]*|#" + kL + "+", keep);
}

void add_numbers(std::vector<Rule>& rules) {
  using enum PtbAction;
  rules.emplace_back(kD + "{1,2}[-/]" + kD + "{1,2}[-/]" + kD + "{2,4}", keep);
  rules.emplace_back("[-+\\xC5]?" + kNum, word);
  rules.emplace_back(R"([\xD2]?(?:\xD0+|\xD1+))", keep);
  rules.emplace_back("(?:" + kD + "{1,4}[- \\xC2\\xD4])?" + kD + "{1,4}(?:\\\\?/|\\xD3)" + kD + "{1,4}",
                     glue);
  rules.emplace_back(R"(\xCE|\xCF)", fixed);
  rules.emplace_back(R"(anti-|pro-|[sS](?:&|&amp;)[pP]-500|[sS](?:&|&amp;)Ls|C\.D\.s|-(?i:[lr][rcs]b)-)",
                     keep);
  rules.emplace_back(R"([A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2})", keep);
  rules.emplace_back(R"([A-Z]*\$|#)", keep);
  const std::string kGap = R"([- \xC2\xD4])";
  rules.emplace_back(R"((?:\([0-9]{2,3}\)[ \xC2\xD4]?|(?:\+\+?)?(?:[0-9]{2,4})" + kGap + ")?[0-9]{2,4}" +
                         kGap + ")[0-9]{3,4}" + kGap + "?[0-9]{3,5}",
                     brackets);
  rules.emplace_back(R"((?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5})", keep);
}

void add_abbreviations(std::vector<Rule>& rules) {
  using enum PtbAction;
  rules.emplace_back(kAbbreviations + "\\.", keep, 0, kSentEnd);
  rules.emplace_back(kAbbreviations + "\\.", keep, 0, R"([\x00-\xFF]{2})");
  rules.emplace_back("(?:" + kAbbreviations + "|" + kTitles + ")\\.", keep);
  rules.emplace_back("[A-Za-z]\\.", keep, 1, kSpNl + "+(?:" + kStarters + "|" + kSgml + ")" + kSpNl);
  rules.emplace_back("[A-Za-z]\\.", keep);
  rules.emplace_back(kAcronym + "\\.?", keep);
  rules.emplace_back(kBeforeNumbers + "\\.", keep, 0, kSpNl + "?" + kD);
  rules.emplace_back("(?:" + kPlain +
                         "+\\.)+(?i:c|h|x|gz|pl|ps|py|bat|bmp|cgi|cpp|dll|docx?|exe|gif|html?|jar|jpe?g|java|"
                         "mov|mp3|pdf|php|png|ppt|sql|tar|txt|wav|xml|zip|class)",
                     keep, 0, "(?:[ \\t\\n\\xC2\\xD4.?!,]|$)");
}

void add_joined(std::vector<Rule>& rules) {
  using enum PtbAction;
  const std::string kCapitals = "[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+";
  const std::string kJoined =
      R"([A-Za-z0-9][A-Za-z0-9.,\xC5]*(?:[-\xC6](?:[A-Za-z0-9\xC5]+|)" + kAcronym + R"(\.))+)";
  rules.emplace_back(kJoined, word);
  // Before a comma or a colon the dot belongs to any word.
  rules.emplace_back("(?:" + kWord + "|" + kJoinedParts + "|" + kJoined + "|" + kCapitals + ")\\.", word, 0,
                     "[,;:]");
  rules.emplace_back(kCapitals, ampersands);
}

void add_signs(std::vector<Rule>& rules) {
  using enum PtbAction;
  rules.emplace_back(R"((?:"|&quot;))", open_quotes, 0, "[A-Za-z0-9$]");
  rules.emplace_back(R"((?:"|&quot;))", close_quotes);
  rules.emplace_back("&lt;|<", less);
  rules.emplace_back("&gt;|>", greater);
  rules.emplace_back("<<|>>", keep);
  rules.emplace_back(R"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])", brackets, 0, "(?:[^A-Za-z0-9]|$)");
  rules.emplace_back(R"([-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\))",
                     brackets);
  rules.emplace_back(R"([(){}\[\]])", fixed);
  rules.emplace_back("-+", dashes);
  rules.emplace_back(R"(\.{3,5}|(?:\.[ \xC2\xD4]){2,4}\.|\xCD)", ellipsis);
  rules.emplace_back(R"(@+|_+|\*+|\\\*|#+|[?!]+)", keep);
  rules.emplace_back("``|\\xCA", open_quotes);
  rules.emplace_back(R"([`\xC7-\xCB]{2})", quotes);
  rules.emplace_back("''|\\xCB", close_quotes);
  rules.emplace_back("`|\\xC8", open_quote);
  rules.emplace_back("'", open_quote, 0, "[A-Za-z][^ \\t\\n\\xC2\\xD4]");
  rules.emplace_back(kAux, plain_quotes);
  rules.emplace_back("['\\xC7\\xC9]|&apos;", close_quote);
  rules.emplace_back("&nbsp;", drop);
  rules.emplace_back(R"([!-/:-@\[-`{-~\xC4\xD2])", keep);
}

const std::vector<Rule>& rules() {
  static const std::vector<Rule> kRules = [] {
    std::vector<Rule> rules;
    add_words(rules);
    add_apostrophes(rules);
    add_addresses(rules);
    add_numbers(rules);
    add_abbreviations(rules);
    add_joined(rules);
    add_signs(rules);
    return rules;
  }();
  return kRules;
}

}  // namespace

PtbMatch match_ptb_rule(std::string_view kinds, size_t from) {
  PtbMatch best;
  size_t farthest = 0;
  for (const Rule& rule : rules()) {
    const size_t length = rule.match.at(kinds, from);
    if (length == 0) continue;
    const size_t reach = length + (rule.after ? rule.after->at(kinds, from + length) : 0);
    if (reach <= farthest) continue;  // of equal ones the first counts
    farthest = reach;
    best = {.length = rule.keep > 0 ? rule.keep : length, .action = rule.action};
  }
  return best;
}

}  // namespace excitor
