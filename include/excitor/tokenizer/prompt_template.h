// How messages become the text and the control tokens that a model was trained on.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <excitor/tokenizer/template_piece.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/json.h>

namespace excitor {

/// One instruction: what is asked, and the text it is about (may be empty).
struct Instruction {
  std::string instruction;
  std::string input;
};

enum class Role { system, user, assistant };

/// One message of a conversation: an optional system message first, then user and assistant in turns.
struct Message {
  Role role = Role::user;
  std::string content;
  /// Of a user's message: the text that it is about (Alpaca's `input`). A template without a place for it
  /// puts it on the line below the content.
  std::string input = {};
  bool trained = true;  ///< of an assistant's message; false: it is context alone
};

/// A template known by name, or the user's own. BOS stands first in all of them.
///
/// alpaca: Stanford Alpaca's two prompts; a system message stands for their first paragraph, and a later turn
///   begins with an empty line and "### Instruction:" (as in LLaMA-Factory), after the answer's EOS.
/// llama2: BOS [INST] … [/INST] answer EOS for each turn (meta-llama/llama, chat_completion).
/// llama3: headers and <|eot_id|> (meta-llama/llama3, ChatFormat); no date lines as in 3.1's own template.
/// vicuna: FastChat's vicuna_v1.1 with its system message.
/// chatml: <|im_start|> and <|im_end|>; no system message unless one is given.
/// plain: the text itself, nothing added; later turns and a system message on lines of their own.
class PromptTemplate {
 public:
  /// A name, or an object with the user's own texts ("prompt_no_input", "prompt_input", …). Throws
  /// ConfigError: an unknown name or key (with what may have been meant), a wrong type, no place for the
  /// instruction.
  explicit PromptTemplate(const Json& name_or_object);

  /// The name or the object that it was made from, to be recorded.
  Json json() const;
  /// The name, or "(its own)": for messages.
  std::string name() const;

  /// BOS and all messages, the last of which is the user's, up to where the assistant's answer begins: the
  /// beginning of conversation() with that answer. Throws DataError: messages not in turns, or a system
  /// message where the template has no place for one.
  std::vector<TemplatePiece> prompt(const std::vector<Message>& messages) const;
  std::vector<TemplatePiece> prompt(const Instruction& instruction) const;
  /// BOS and all messages, the last of which is the assistant's. Each answer that is trained is supervised
  /// with what ends it (EOS, <|eot_id|>, <|im_end|>). Throws as prompt().
  std::vector<TemplatePiece> conversation(const std::vector<Message>& messages) const;

  /// Ids of the control tokens that end an answer instead of EOS; empty where EOS does.
  std::vector<TokenId> stop_ids(const Tokenizer& tokenizer) const;
  /// All ids that end an answer: EOS and stop_ids().
  std::set<TokenId> end_ids(const Tokenizer& tokenizer) const;
  /// Text that ends an answer instead of EOS; empty for the named templates.
  std::vector<std::string> stop_texts() const;
  /// Throws ConfigError that names the control tokens that the vocabulary lacks, and those that are BOS: it
  /// stands first in any case.
  void check(const Tokenizer& tokenizer) const;

  static std::vector<std::string> known_names();
  /// The keys of a user's own template, as a Markdown table and as JSON Schema.
  static std::string object_reference();
  static Json object_schema();

 private:
  struct Texts;
  std::shared_ptr<const Texts> texts_;
};

/// An instruction as the one message that it is.
std::vector<Message> messages_of(const Instruction& instruction);

}  // namespace excitor
