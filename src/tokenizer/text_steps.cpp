#include "text_steps.h"

#include <span>

namespace excitor {
namespace {

using Visit = std::function<void(std::string_view)>;
using Steps = std::span<const TextStep>;

void pass_on(const Stretch& piece, Steps steps, const Visit& visit);

void apply(const Prepend& step, const Stretch& piece, Steps rest, const Visit& visit) {
  const std::string prepended = step.text + std::string(piece.text);
  pass_on({prepended, piece.at_start}, rest, visit);
}

void apply(const PrependOnce& step, const Stretch& piece, Steps rest, const Visit& visit) {
  const bool is_wanted = piece.at_start || !step.only_at_start;
  if (!is_wanted || piece.text.starts_with(step.text)) return pass_on(piece, rest, visit);
  const std::string prepended = step.text + std::string(piece.text);
  pass_on({prepended, piece.at_start}, rest, visit);
}

void apply(const Replace& step, const Stretch& piece, Steps rest, const Visit& visit) {
  std::string replaced;
  std::string_view text = piece.text;
  for (size_t found = 0; (found = text.find(step.from)) != text.npos;) {
    replaced.append(text.substr(0, found)).append(step.to);
    text.remove_prefix(found + step.from.size());
  }
  replaced.append(text);
  pass_on({replaced, piece.at_start}, rest, visit);
}

/// The part [begin,end) of a piece.
Stretch part_of(const Stretch& piece, size_t begin, size_t end) {
  return {piece.text.substr(begin, end - begin), piece.at_start && begin == 0};
}

void apply(const SplitIsolated& step, const Stretch& piece, Steps rest, const Visit& visit) {
  const std::string_view text = piece.text;
  size_t done = 0;
  for (size_t from = 0; from <= text.size();) {
    const auto match = step.expression.find(text, from);
    if (!match) break;
    if (match->begin == match->end) {  // goes on behind the next character
      from = match->end + 1;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
      continue;
    }
    pass_on(part_of(piece, done, match->begin), rest, visit);
    pass_on(part_of(piece, match->begin, match->end), rest, visit);
    done = from = match->end;
  }
  pass_on(part_of(piece, done, text.size()), rest, visit);
}

void apply(const SplitBefore& step, const Stretch& piece, Steps rest, const Visit& visit) {
  const std::string_view text = piece.text;
  size_t begin = 0;
  for (size_t at = text.find(step.symbol, 1); at != text.npos;
       at = text.find(step.symbol, at + step.symbol.size())) {
    if (step.first_of_run && text.substr(0, at).ends_with(step.symbol)) continue;
    pass_on(part_of(piece, begin, at), rest, visit);
    begin = at;
  }
  pass_on(part_of(piece, begin, text.size()), rest, visit);
}

void pass_on(const Stretch& piece, Steps steps, const Visit& visit) {
  if (piece.text.empty()) return;
  if (steps.empty()) return visit(piece.text);
  std::visit([&](const auto& step) { apply(step, piece, steps.subspan(1), visit); }, steps.front());
}

}  // namespace

void for_each_piece(const Stretch& stretch, const std::vector<TextStep>& steps, const Visit& visit) {
  pass_on(stretch, steps, visit);
}

std::string apply_steps(std::string_view text, const std::vector<TextStep>& steps) {
  std::string result;
  for_each_piece({text}, steps, [&](std::string_view piece) { result += piece; });
  return result;
}

Regex compile_split_pattern(std::string_view pattern) {
  std::string translated;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      translated += pattern[i];
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's')
      translated += "\\p{White_Space}";
    else if (escaped == 'S')
      translated += "\\P{White_Space}";
    else
      translated.append({'\\', escaped});
  }
  return Regex(translated);
}

}  // namespace excitor
