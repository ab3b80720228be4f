#include "added_tokens.h"

#include <algorithm>
#include <utility>

#include <excitor/util/regex.h>

namespace excitor {
namespace {

bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// The character that ends at `end`, which is not 0.
std::string_view character_before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && continues_character(text[begin])) --begin;
  return text.substr(begin, end - begin);
}

/// The character that begins at `begin`, which is not the end.
std::string_view character_at(std::string_view text, size_t begin) {
  size_t end = begin + 1;
  while (end < text.size() && continues_character(text[end])) ++end;
  return text.substr(begin, end - begin);
}

/// Unicode's definition of \w (UTS #18, annex C), which PCRE2's is not.
bool is_of_word(std::string_view character) {
  static const Regex kWord(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}])");
  return kWord.matches_fully(character);
}

bool is_blank(std::string_view character) {
  static const Regex kBlank(R"(\p{White_Space})");
  return kBlank.matches_fully(character);
}

bool touches_word(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && is_of_word(character_before(text, begin))) ||
         (end < text.size() && is_of_word(character_at(text, end)));
}

size_t begin_of_blanks(std::string_view text, size_t end) {
  while (end > 0 && is_blank(character_before(text, end))) end -= character_before(text, end).size();
  return end;
}

size_t end_of_blanks(std::string_view text, size_t begin) {
  while (begin < text.size() && is_blank(character_at(text, begin)))
    begin += character_at(text, begin).size();
  return begin;
}

}  // namespace

void AddedTokenFinder::add(const std::string& pattern, const AddedToken& token) {
  std::vector<Pattern>& patterns = by_first_byte_[static_cast<unsigned char>(pattern[0])];
  const auto shorter = std::ranges::find_if(
      patterns, [&](const Pattern& other) { return other.text.size() < pattern.size(); });
  patterns.insert(shorter, {.text = pattern, .token = token});
  is_empty_ = false;
}

const AddedTokenFinder::Pattern* AddedTokenFinder::find_at(std::string_view text, size_t at) const {
  for (const Pattern& pattern : by_first_byte_[static_cast<unsigned char>(text[at])]) {
    if (text.substr(at).starts_with(pattern.text)) return &pattern;
  }
  return nullptr;
}

void AddedTokenFinder::visit(const Stretch& stretch, const Visitor& visitor) const {
  const std::string_view text = stretch.text;
  size_t done = 0;
  const auto visit_until = [&](size_t end) {
    if (done < end) visitor.stretch({text.substr(done, end - done), stretch.at_start && done == 0});
  };
  for (size_t at = is_empty_ ? text.size() : 0; at < text.size();) {
    const Pattern* found = find_at(text, at);
    if (!found) {
      ++at;
      continue;
    }
    const size_t from = std::exchange(at, at + found->text.size());
    const AddedToken& token = found->token;
    if (token.single_word && touches_word(text, from, at)) continue;
    const size_t begin = token.lstrip ? std::max(done, begin_of_blanks(text, from)) : from;
    const size_t end = token.rstrip ? end_of_blanks(text, at) : at;
    visit_until(begin);
    if (begin < end) visitor.token(token.id);  // else of blanks that the token before took along
    done = end;
  }
  visit_until(text.size());
}

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, std::vector<TextStep> normalizer)
    : normalizer_(std::move(normalizer)) {
  for (const AddedToken& token : tokens) {
    if (token.normalized)
      normalized_.add(apply_steps(token.content, normalizer_), token);
    else
      as_written_.add(token.content, token);
  }
}

void AddedTokens::visit(std::string_view text, const AddedTokenFinder::Visitor& visitor) const {
  const auto visit_normalized = [&](const Stretch& stretch) {
    if (normalizer_.empty()) return normalized_.visit(stretch, visitor);
    const std::string normalized = apply_steps(stretch.text, normalizer_);
    normalized_.visit({normalized, stretch.at_start}, visitor);
  };
  as_written_.visit({text, true}, {.stretch = visit_normalized, .token = visitor.token});
}

}  // namespace excitor
