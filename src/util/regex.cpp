#include <excitor/util/regex.h>

#include <array>
#include <new>

#include <fmt/format.h>

#include <excitor/util/error.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace excitor {
namespace {

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

PCRE2_SPTR units_of(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

/// The room that one search writes its offsets into.
class MatchData {
 public:
  explicit MatchData(const pcre2_code* code)
      : data_(pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free) {
    if (!data_) throw std::bad_alloc();
  }
  pcre2_match_data* get() const { return data_.get(); }
  Regex::Match whole_match() const {
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data_.get());
    return {.begin = offsets[0], .end = offsets[1]};
  }

 private:
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data_;
};

}  // namespace

struct Regex::Code {
  explicit Code(std::string_view given) : pattern(given) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    compiled = pcre2_compile(units_of(given), given.size(), PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    if (!compiled) {
      throw ConfigError(fmt::format("\"{}\" is no regular expression: {} at offset {}", pattern,
                                    message_of(error), offset));
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // without JIT the interpreter searches, slower
  }
  ~Code() { pcre2_code_free(compiled); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  std::optional<Match> search(std::string_view text, size_t from, uint32_t options) const {
    const MatchData data(compiled);
    const auto run = [&](uint32_t with) {
      return pcre2_match(compiled, units_of(text), text.size(), from, with | PCRE2_NO_UTF_CHECK, data.get(),
                         nullptr);
    };
    int found = run(options);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = run(options | PCRE2_NO_JIT);
    if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (found < 0) {
      throw ConfigError(
          fmt::format("the regular expression \"{}\" can't be searched for in a text of {} "
                      "bytes: {}; write it so that it has fewer ways to match",
                      pattern, text.size(), message_of(found)));
    }
    return data.whole_match();
  }

  std::string pattern;
  pcre2_code* compiled = nullptr;
};

Regex::Regex(std::string_view pattern) : code_(std::make_shared<const Code>(pattern)) {}

const std::string& Regex::pattern() const {
  return code_->pattern;
}

bool Regex::matches_fully(std::string_view text) const {
  return code_->search(text, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED).has_value();
}

std::optional<Regex::Match> Regex::find(std::string_view text, size_t from) const {
  return code_->search(text, from, 0);
}

}  // namespace excitor
