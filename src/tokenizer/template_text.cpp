#include "template_text.h"

namespace excitor {
namespace {

using Kind = TemplatePiece::Kind;

/// The longest of `names` that `text` begins with, or nullptr.
const std::string* find_name(std::string_view text, const std::vector<std::string>& names) {
  const std::string* longest = nullptr;
  for (const std::string& name : names) {
    if (text.starts_with(name) && (!longest || name.size() > longest->size())) longest = &name;
  }
  return longest;
}

}  // namespace

TemplateText::TemplateText(std::string_view text, const std::vector<std::string>& control_tokens) {
  while (!text.empty()) {
    if (take_special(text, control_tokens)) continue;
    add_character(text.front());
    text.remove_prefix(1);
  }
}

bool TemplateText::take_special(std::string_view& rest, const std::vector<std::string>& control_tokens) {
  struct Special {
    std::string_view spelling;
    Part part;
  };
  static const Special kSpecials[] = {
      {"{instruction}", {.place = &TemplateValues::instruction}},
      {"{input}", {.place = &TemplateValues::input}},
      {"{system}", {.place = &TemplateValues::system}},
      {"{answer}", {.place = &TemplateValues::answer}},
      {kBosPlace, {.kind = Kind::bos}},
      {"{eos}", {.kind = Kind::eos}},
  };
  if (const std::string* name = find_name(rest, control_tokens)) {
    parts_.push_back({.kind = Kind::control, .text = *name});
    rest.remove_prefix(name->size());
    return true;
  }
  for (const auto& [spelling, part] : kSpecials) {
    if (!rest.starts_with(spelling)) continue;
    parts_.push_back(part);
    rest.remove_prefix(spelling.size());
    return true;
  }
  return false;
}

void TemplateText::add_character(char c) {
  const bool continues = !parts_.empty() && parts_.back().kind == Kind::text && !parts_.back().place;
  if (!continues) parts_.push_back({});
  parts_.back().text += c;
}

void TemplateText::append_to(std::vector<TemplatePiece>& pieces, const TemplateValues& values,
                             bool supervised) const {
  for (const Part& part : parts_) {
    if (part.kind != Kind::text)
      pieces.push_back({.kind = part.kind, .text = part.text, .supervised = supervised});
    else
      append_text(pieces, part.place ? values.*part.place : std::string_view(part.text), supervised);
  }
}

std::vector<std::string> TemplateText::controls() const {
  std::vector<std::string> names;
  for (const Part& part : parts_) {
    if (part.kind == Kind::control) names.push_back(part.text);
  }
  return names;
}

void append_text(std::vector<TemplatePiece>& pieces, std::string_view text, bool supervised) {
  if (text.empty()) return;
  const bool continues = !pieces.empty() && pieces.back().kind == Kind::text &&
                         pieces.back().supervised == supervised && !pieces.back().untrained_answer;
  if (!continues) pieces.push_back({.kind = Kind::text, .supervised = supervised});
  pieces.back().text += text;
}

}  // namespace excitor
