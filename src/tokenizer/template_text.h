// One text of a template, taken apart: characters, control tokens, and places for what is filled in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <excitor/tokenizer/template_piece.h>

namespace excitor {

inline constexpr std::string_view kBosPlace = "{bos}";

/// What is filled into the places of a template's texts.
struct TemplateValues {
  std::string_view instruction = {};
  std::string_view input = {};
  std::string_view system = {};
  std::string_view answer = {};
};

class TemplateText {
 public:
  TemplateText() = default;
  /// `control_tokens`: names that are tokens where they stand in `text`; of two that fit, the longer.
  TemplateText(std::string_view text, const std::vector<std::string>& control_tokens);

  /// Appends the text with `values` in its places to `pieces`. Two texts of the same supervision become one.
  void append_to(std::vector<TemplatePiece>& pieces, const TemplateValues& values, bool supervised) const;

  /// The names of its control tokens.
  std::vector<std::string> controls() const;

 private:
  using Value = std::string_view TemplateValues::*;
  struct Part {
    TemplatePiece::Kind kind = TemplatePiece::Kind::text;
    std::string text = {};
    Value place = nullptr;  ///< of a text: filled in instead of `text`
  };
  /// Takes a place or a control token from the front of `rest`; false when characters stand there.
  bool take_special(std::string_view& rest, const std::vector<std::string>& control_tokens);
  void add_character(char c);

  std::vector<Part> parts_;
};

/// Appends characters to `pieces`: to the last piece, when it is a text of the same supervision.
void append_text(std::vector<TemplatePiece>& pieces, std::string_view text, bool supervised);

}  // namespace excitor
