// What a prompt template consists of: its texts as they are written, with places for what is filled in.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <excitor/util/describe.h>
#include <excitor/util/json.h>

namespace excitor {

/// Texts with the places {instruction}, {input}, {system}, {answer}, {bos} and {eos}. BOS stands first in any
/// case; {bos} is for the beginning of later turns. The fields are the keys of a user's own template; those
/// of alpaca-lora's template files are among them.
struct TemplateTexts {
  std::string description;
  std::string prompt_no_input;
  std::optional<std::string> prompt_input;
  std::optional<std::string> later_prompt;
  std::optional<std::string> system;
  std::optional<std::string> default_system;
  bool system_in_instruction = false;
  std::string answer = "{answer}";
  std::string answer_end = "{eos}";
  std::vector<std::string> control_tokens;
  bool strip = false;
  std::string response_split;

  /// Instead of default_system where there is an input; Alpaca's alone has it, an object can't.
  std::optional<std::string> default_system_input;

  void describe(Describer& d);
};

/// The texts of a named template, or nothing. Defined for each of kTemplateNames.
std::optional<TemplateTexts> find_named_texts(std::string_view name);
inline constexpr std::string_view kTemplateNames[] = {"alpaca", "llama2", "llama3",
                                                      "vicuna", "chatml", "plain"};

/// The texts of an object. Throws ConfigError with all that is wrong: unknown keys, wrong types, a place that
/// is missing ({instruction} in a prompt, {input} in prompt_input, …), {word} that is no place there, an
/// empty answer_end.
TemplateTexts read_template_texts(const Json& object);

}  // namespace excitor
