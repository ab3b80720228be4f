#include "text_steps.h"

#include <span>

namespace excitor {
namespace {

using Visit = std::function<void(std::string_view)>;
using Steps = std::span<const TextStep>;

void pass_on(std::string_view piece, Steps steps, const Visit& visit);

void apply(const Prepend& step, std::string_view piece, Steps rest, const Visit& visit) {
  pass_on(piece.empty() ? std::string() : step.text + std::string(piece), rest, visit);
}

void apply(const PrependOnce& step, std::string_view piece, Steps rest, const Visit& visit) {
  if (piece.empty() || piece.starts_with(step.text)) return pass_on(piece, rest, visit);
  pass_on(step.text + std::string(piece), rest, visit);
}

void apply(const Replace& step, std::string_view piece, Steps rest, const Visit& visit) {
  std::string replaced;
  for (size_t found = 0; (found = piece.find(step.from)) != piece.npos;) {
    replaced.append(piece.substr(0, found)).append(step.to);
    piece.remove_prefix(found + step.from.size());
  }
  pass_on(replaced.append(piece), rest, visit);
}

void apply(const SplitIsolated& step, std::string_view piece, Steps rest, const Visit& visit) {
  size_t done = 0;
  for (size_t from = 0; from <= piece.size();) {
    const auto match = step.expression.find(piece, from);
    if (!match) break;
    if (match->begin == match->end) {  // goes on behind the next character
      from = match->end + 1;
      while (from < piece.size() && (static_cast<unsigned char>(piece[from]) & 0xC0) == 0x80) ++from;
      continue;
    }
    pass_on(piece.substr(done, match->begin - done), rest, visit);
    pass_on(piece.substr(match->begin, match->end - match->begin), rest, visit);
    done = from = match->end;
  }
  pass_on(piece.substr(done), rest, visit);
}

void apply(const SplitBefore& step, std::string_view piece, Steps rest, const Visit& visit) {
  size_t begin = 0;
  for (size_t at = piece.find(step.symbol, 1); at != piece.npos;
       at = piece.find(step.symbol, at + step.symbol.size())) {
    if (step.first_of_run && piece.substr(0, at).ends_with(step.symbol)) continue;
    pass_on(piece.substr(begin, at - begin), rest, visit);
    begin = at;
  }
  pass_on(piece.substr(begin), rest, visit);
}

void pass_on(std::string_view piece, Steps steps, const Visit& visit) {
  if (piece.empty()) return;
  if (steps.empty()) return visit(piece);
  std::visit([&](const auto& step) { apply(step, piece, steps.subspan(1), visit); }, steps.front());
}

}  // namespace

void for_each_piece(std::string_view text, const std::vector<TextStep>& steps, const Visit& visit) {
  pass_on(text, steps, visit);
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
