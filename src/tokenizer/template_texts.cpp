#include "template_texts.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <excitor/util/settings.h>

#include "template_text.h"

namespace excitor {
namespace {

/// Stanford Alpaca's prompts (LLaMA-Adapter's too); the first paragraph is what a system message replaces.
TemplateTexts alpaca() {
  return {
      .prompt_no_input = "### Instruction:\n{instruction}\n\n### Response:",
      .prompt_input = "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:",
      .later_prompt = "\n\n### Instruction:\n{instruction}\n\n### Response:",
      .system = "{system}\n\n",
      .default_system =
          "Below is an instruction that describes a task. "
          "Write a response that appropriately completes the request.",
      .default_system_input =
          "Below is an instruction that describes a task, paired with an input that "
          "provides further context. "
          "Write a response that appropriately completes the request.",
  };
}

TemplateTexts llama2() {
  return {
      .prompt_no_input = "[INST] {instruction} [/INST]",
      .later_prompt = "{bos}[INST] {instruction} [/INST]",
      .system = "<<SYS>>\n{system}\n<</SYS>>\n\n",
      .system_in_instruction = true,
      .answer = " {answer} ",
      .strip = true,
  };
}

TemplateTexts llama3() {
  return {
      .prompt_no_input =
          "<|start_header_id|>user<|end_header_id|>\n\n{instruction}<|eot_id|>"
          "<|start_header_id|>assistant<|end_header_id|>\n\n",
      .system = "<|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>",
      .answer_end = "<|eot_id|>",
      .control_tokens = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
      .strip = true,
  };
}

TemplateTexts vicuna() {
  return {
      .prompt_no_input = "USER: {instruction} ASSISTANT:",
      .system = "{system} ",
      .default_system =
          "A chat between a curious user and an artificial intelligence assistant. "
          "The assistant gives helpful, detailed, and polite answers to the user's questions.",
      .answer = " {answer}",
  };
}

TemplateTexts chatml() {
  const std::string prompt = "<|im_start|>user\n{instruction}<|im_end|>\n<|im_start|>assistant\n";
  return {
      .prompt_no_input = prompt,
      .later_prompt = "\n" + prompt,
      .system = "<|im_start|>system\n{system}<|im_end|>\n",
      .answer_end = "<|im_end|>",
      .control_tokens = {"<|im_start|>", "<|im_end|>"},
  };
}

TemplateTexts plain() {
  return {
      .prompt_no_input = "{instruction}",
      .later_prompt = "\n{instruction}",
      .system = "{system}\n",
  };
}

void require_place(const std::string& key, const std::string& text, const char* place, Problems& problems) {
  if (text.find(place) != std::string::npos) return;
  problems.add(key, text.empty() ? fmt::format("is missing; expected a text that holds {}", place)
                                 : fmt::format("has no place for it: expected {} in the text, found {}",
                                               place, describe_value(Json(text))));
}

bool is_text(const std::string& text, const std::vector<std::string>& control_tokens) {
  std::vector<TemplatePiece> pieces;
  TemplateText(text, control_tokens).append_to(pieces, {}, false);
  return std::ranges::all_of(pieces,
                             [](const TemplatePiece& p) { return p.kind == TemplatePiece::Kind::text; });
}

struct Place {
  size_t at;
  std::string_view spelling;  ///< "{input}"
};

/// Whatever is written as a place: a name in braces. Braces around anything else are characters.
std::vector<Place> places_in(std::string_view text) {
  constexpr std::string_view kNameCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  std::vector<Place> places;
  for (size_t at = text.find('{'); at != text.npos; at = text.find('{', at + 1)) {
    const size_t end = text.find_first_not_of(kNameCharacters, at + 1);
    const bool is_name = end != text.npos && text[end] == '}' && end > at + 1 && !std::isdigit(text[at + 1]);
    if (is_name) places.push_back({at, text.substr(at, end + 1 - at)});
  }
  return places;
}

/// What may stand in a text of a template beside {eos}.
struct PlaceRules {
  std::vector<std::string_view> places;
  bool may_begin_with_bos = false;
};

void refuse_other_places(const std::string& key, const std::string& text, const PlaceRules& rules,
                         const std::vector<std::string>& control_tokens, Problems& problems) {
  std::vector<std::string_view> known = rules.places;
  known.push_back("{eos}");
  for (const auto& [at, spelling] : places_in(text)) {
    if (std::ranges::find(known, spelling) != known.end()) continue;
    if (std::ranges::find(control_tokens, spelling) != control_tokens.end()) continue;
    if (spelling != kBosPlace)
      problems.add(key, fmt::format("{} is no place of this text; its places are {}{}", spelling,
                                    fmt::join(known, ", "),
                                    rules.may_begin_with_bos ? ", and {bos} at its beginning" : ""));
    else if (at != 0 || !rules.may_begin_with_bos)
      problems.add(key,
                   "{bos} may stand at the beginning of a prompt or a system message alone: a text has "
                   "one BOS, in front of it");
  }
}

void refuse_other_places(const TemplateTexts& texts, Problems& problems) {
  const std::tuple<const char*, std::optional<std::string>, PlaceRules> rules[] = {
      {"prompt_no_input", texts.prompt_no_input, {{"{instruction}"}, true}},
      {"prompt_input", texts.prompt_input, {{"{instruction}", "{input}"}, true}},
      {"later_prompt", texts.later_prompt, {{"{instruction}"}, true}},
      {"system", texts.system, {{"{system}"}, true}},
      {"answer", texts.answer, {{"{answer}"}, false}},
      {"answer_end", texts.answer_end, {{}, false}},
  };
  for (const auto& [key, text, allowed] : rules) {
    if (text) refuse_other_places(key, *text, allowed, texts.control_tokens, problems);
  }
}

void check_places(const TemplateTexts& texts, Problems& problems) {
  refuse_other_places(texts, problems);
  require_place("prompt_no_input", texts.prompt_no_input, "{instruction}", problems);
  require_place("answer", texts.answer, "{answer}", problems);
  if (texts.later_prompt) require_place("later_prompt", *texts.later_prompt, "{instruction}", problems);
  if (texts.system) require_place("system", *texts.system, "{system}", problems);
  if (texts.prompt_input) {
    require_place("prompt_input", *texts.prompt_input, "{instruction}", problems);
    require_place("prompt_input", *texts.prompt_input, "{input}", problems);
  }
  if (texts.default_system && !texts.system)
    problems.add("default_system", "stands without \"system\", which says how a system message is written");
  if (texts.system_in_instruction && texts.system && !is_text(*texts.system, texts.control_tokens))
    problems.add("system", "holds a control token, BOS or EOS, which can't stand inside an instruction");
  if (texts.answer_end.empty())
    problems.add("answer_end", "is empty, so no answer would ever end; leave it out to end with EOS");
  if (std::ranges::find(texts.control_tokens, "") != texts.control_tokens.end())
    problems.add("control_tokens", "holds an empty name");
}

}  // namespace

void TemplateTexts::describe(Describer& d) {
  d.field("description", description, "For people; not used.");
  d.field("prompt_no_input", prompt_no_input,
          "A user's message up to where the answer begins; holds {instruction}. Required.");
  d.field("prompt_input", prompt_input,
          "The same for an instruction with an input; holds {instruction} and {input}. Not set: the input "
          "follows the instruction on the next line.");
  d.field("later_prompt", later_prompt,
          "A user's message after an answer; holds {instruction}. Not set: prompt_no_input.");
  d.field("system", system,
          "How a system message is written, in front of the first prompt; holds {system}. Not set: there is "
          "no place for one.");
  d.field("default_system", default_system, "The system message where a conversation has none.");
  d.field(
      "system_in_instruction", system_in_instruction,
      "The system message stands in front of the first instruction instead, inside the prompt (LLaMA 2).");
  d.field("answer", answer, "An answer; holds {answer}.");
  d.field("answer_end", answer_end,
          "What ends an answer and is trained with it: {eos}, a control token, or a text. Generation stops "
          "there.");
  d.field("control_tokens", control_tokens,
          "Names in the template's texts that are tokens of the vocabulary, not characters. In a message "
          "they are characters.");
  d.field("strip", strip, "Blanks at both ends of messages are removed.");
  d.field("response_split", response_split,
          "Of alpaca-lora's template files; not used, since an answer's tokens are known apart.");
}

std::optional<TemplateTexts> find_named_texts(std::string_view name) {
  struct Named {
    std::string_view name;
    TemplateTexts (*make)();
  };
  static constexpr Named kNamed[] = {{"alpaca", alpaca}, {"llama2", llama2}, {"llama3", llama3},
                                     {"vicuna", vicuna}, {"chatml", chatml}, {"plain", plain}};
  for (const auto& [known, make] : kNamed) {
    if (known == name) return make();
  }
  return std::nullopt;
}

TemplateTexts read_template_texts(const Json& object) {
  TemplateTexts texts;
  Problems problems;
  read_settings(
      object, [&](Describer& d) { texts.describe(d); }, {}, problems);
  if (problems.empty()) check_places(texts, problems);
  problems.throw_if_any("the prompt template");
  return texts;
}

}  // namespace excitor
