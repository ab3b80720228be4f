#include <excitor/tokenizer/prompt_template.h>

#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/python_text.h>
#include <excitor/util/settings.h>

#include "template_text.h"
#include "template_texts.h"

namespace excitor {
namespace {

using Kind = TemplatePiece::Kind;
using Pieces = std::vector<TemplatePiece>;

TemplateTexts texts_of(const Json& name_or_object) {
  if (name_or_object.is_object()) return read_template_texts(name_or_object);
  if (!name_or_object.is_string()) {
    throw ConfigError(fmt::format("a prompt template is a name ({}) or an object; found {}",
                                  fmt::join(kTemplateNames, ", "), describe_value(name_or_object)));
  }
  const auto& name = name_or_object.get_ref<const std::string&>();
  if (auto texts = find_named_texts(name)) return *std::move(texts);
  const std::string meant = nearest_name(name, PromptTemplate::known_names());
  throw ConfigError(fmt::format("there is no prompt template \"{}\"{}; known: {}, or an object", name,
                                meant.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", meant),
                                fmt::join(kTemplateNames, ", ")));
}

const char* role_name(Role role) {
  return role == Role::system ? "system" : role == Role::user ? "user" : "assistant";
}

/// A system message may come first; then user and assistant take turns, `last` being the last.
void check_turns(const std::vector<Message>& messages, Role last) {
  Role expected = Role::user;
  for (size_t i = messages.empty() || messages[0].role != Role::system ? 0 : 1; i < messages.size(); ++i) {
    if (messages[i].role != expected) {
      throw DataError(fmt::format(
          "message {} is the {}'s, expected the {}'s: after a system message (or none) user and assistant "
          "take turns",
          i + 1, role_name(messages[i].role), role_name(expected)));
    }
    expected = expected == Role::user ? Role::assistant : Role::user;
  }
  if (messages.empty() || messages.back().role != last)
    throw DataError(fmt::format("the last message must be the {}'s", role_name(last)));
}

/// A user's message where the prompt has one place alone.
std::string with_input_below(const Message& user) {
  return user.input.empty() ? user.content : user.content + "\n" + user.input;
}

/// A text that may come first, behind the one BOS that render() puts there.
std::string without_bos(const std::string& text) {
  return text.substr(text.starts_with(kBosPlace) ? kBosPlace.size() : 0);
}

}  // namespace

/// The template taken apart, ready to be filled.
struct PromptTemplate::Texts {
  Texts(const Json& given, const TemplateTexts& t);

  Pieces render(const std::vector<Message>& messages) const;

  Json json;
  TemplateTexts raw;
  TemplateText prompt, prompt_with_input, later_prompt, system, answer, answer_end;

 private:
  void append_first_prompt(const Message& user, const std::optional<std::string>& given_system,
                           Pieces& pieces) const;
  void append_answer(const Message& assistant, Pieces& pieces) const;
  std::string_view trimmed(std::string_view text) const { return raw.strip ? strip(text) : text; }
};

PromptTemplate::Texts::Texts(const Json& given, const TemplateTexts& t)
    : json(given),
      raw(t),
      prompt(without_bos(t.prompt_no_input), t.control_tokens),
      prompt_with_input(without_bos(t.prompt_input.value_or("")), t.control_tokens),
      later_prompt(t.later_prompt.value_or(without_bos(t.prompt_no_input)), t.control_tokens),
      system(without_bos(t.system.value_or("")), t.control_tokens),
      // A space in front becomes the piece's leading_space.
      answer(std::string_view(t.answer).substr(t.answer.starts_with(' ') ? 1 : 0), t.control_tokens),
      answer_end(t.answer_end, t.control_tokens) {}

Pieces PromptTemplate::Texts::render(const std::vector<Message>& messages) const {
  Pieces pieces{{.kind = Kind::bos}};
  std::optional<std::string> given_system;
  bool first = true;
  for (const Message& message : messages) {
    if (message.role == Role::system) {
      given_system = message.content;
    } else if (message.role == Role::assistant) {
      append_answer(message, pieces);
    } else if (first) {
      append_first_prompt(message, given_system, pieces);
      first = false;
    } else {
      const std::string content = with_input_below(message);
      later_prompt.append_to(pieces, {.instruction = trimmed(content)}, false);
    }
  }
  return pieces;
}

void PromptTemplate::Texts::append_first_prompt(const Message& user,
                                                const std::optional<std::string>& given_system,
                                                Pieces& pieces) const {
  if (given_system && !raw.system)
    throw DataError("the prompt template has no place for a system message: it lacks the key \"system\"");
  const bool two_places = !user.input.empty() && raw.prompt_input;
  const auto& usual = two_places && raw.default_system_input ? raw.default_system_input : raw.default_system;
  const auto& system_message = given_system ? given_system : usual;
  const bool inside = system_message && raw.system_in_instruction;
  if (system_message && !inside) system.append_to(pieces, {.system = trimmed(*system_message)}, false);

  std::string content = two_places ? user.content : with_input_below(user);
  if (inside) {
    Pieces block;  // one text
    system.append_to(block, {.system = *system_message}, false);
    content.insert(0, block.front().text);
  }
  (two_places ? prompt_with_input : prompt)
      .append_to(pieces, {.instruction = trimmed(content), .input = trimmed(user.input)}, false);
}

void PromptTemplate::Texts::append_answer(const Message& assistant, Pieces& pieces) const {
  Pieces own;
  answer.append_to(own, {.answer = trimmed(assistant.content)}, true);
  if (raw.answer.starts_with(' ')) {
    if (own.empty() || own.front().kind != Kind::text)
      own.insert(own.begin(), {.kind = Kind::text, .supervised = true});
    own.front().leading_space = true;
  }
  answer_end.append_to(own, {}, true);
  if (!assistant.trained) {
    for (TemplatePiece& piece : own) {
      piece.supervised = false;
      piece.untrained_answer = true;
    }
  }
  pieces.insert(pieces.end(), own.begin(), own.end());
}

PromptTemplate::PromptTemplate(const Json& name_or_object)
    : texts_(std::make_shared<const Texts>(name_or_object, texts_of(name_or_object))) {}

Json PromptTemplate::json() const {
  return texts_->json;
}

std::string PromptTemplate::name() const {
  return texts_->json.is_string() ? texts_->json.get<std::string>() : "(its own)";
}

Pieces PromptTemplate::prompt(const std::vector<Message>& messages) const {
  check_turns(messages, Role::user);
  return texts_->render(messages);
}

Pieces PromptTemplate::prompt(const Instruction& instruction) const {
  return prompt(messages_of(instruction));
}

Pieces PromptTemplate::conversation(const std::vector<Message>& messages) const {
  check_turns(messages, Role::assistant);
  return texts_->render(messages);
}

std::vector<TokenId> PromptTemplate::stop_ids(const Tokenizer& tokenizer) const {
  Pieces end;
  texts_->answer_end.append_to(end, {}, true);
  if (end.front().kind != Kind::control) return {};
  return tokenizer.encode_pieces({end.front()}).ids;
}

std::set<TokenId> PromptTemplate::end_ids(const Tokenizer& tokenizer) const {
  std::set<TokenId> ids{tokenizer.eos()};
  for (const TokenId id : stop_ids(tokenizer)) ids.insert(id);
  return ids;
}

std::vector<std::string> PromptTemplate::stop_texts() const {
  Pieces end;
  texts_->answer_end.append_to(end, {}, true);
  if (end.front().kind != Kind::text) return {};
  return {end.front().text};
}

void PromptTemplate::check(const Tokenizer& tokenizer) const {
  std::set<std::string> missing;
  for (const TemplateText* text : {&texts_->prompt, &texts_->prompt_with_input, &texts_->later_prompt,
                                   &texts_->system, &texts_->answer, &texts_->answer_end}) {
    for (const std::string& name : text->controls()) {
      const auto id = tokenizer.find_control(name);
      if (!id) missing.insert(name);
      if (id == tokenizer.bos()) {
        throw ConfigError(fmt::format(
            "the prompt template {} has the control token {}, which is BOS and stands first in any case; "
            "leave it out, or write it {} at the beginning of a text",
            this->name(), name, kBosPlace));
      }
    }
  }
  if (missing.empty()) return;
  throw ConfigError(
      fmt::format("the prompt template {} needs the control tokens {}, which the model's vocabulary lacks; "
                  "choose a template that belongs to the model (base LLaMA 1 and 2: alpaca, vicuna, llama2)",
                  name(), fmt::join(missing, ", ")));
}

std::vector<std::string> PromptTemplate::known_names() {
  return {std::begin(kTemplateNames), std::end(kTemplateNames)};
}

std::string PromptTemplate::object_reference() {
  return settings_reference([](Describer& d) { TemplateTexts().describe(d); });
}

Json PromptTemplate::object_schema() {
  Json schema = settings_schema([](Describer& d) { TemplateTexts().describe(d); });
  schema.erase("$schema");
  schema["properties"].erase("$schema");
  schema["required"] = {"prompt_no_input"};
  return schema;
}

std::vector<Message> messages_of(const Instruction& instruction) {
  return {{.role = Role::user, .content = instruction.instruction, .input = instruction.input}};
}

}  // namespace excitor
