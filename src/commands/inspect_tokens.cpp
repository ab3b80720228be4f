#include "inspect_tokens.h"

#include <fstream>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/tokenizer/prompt_template.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/error.h>
#include <excitor/util/json.h>

#include "generation_options.h"
#include "session.h"

namespace excitor {
namespace {

struct TokensOptions {
  std::string model;
  std::string text;
  std::string file;
  std::string prompt_template = "plain";
  bool json = false;
};

/// One line of --file: what is wrong with it stands behind the line's place.
class Row {
 public:
  Row(const std::string& line, const std::string& file, size_t number)
      : place_(fmt::format("{}:{}", file, number)),
        row_(parse_json(line, file, JsonDialect::strict, number)) {}

  /// A text alone, or messages in the template: a prompt when the last is the user's.
  EncodedPieces encode(const Tokenizer& tokenizer, const PromptTemplate& prompt_template) const {
    if (row_.is_object() && row_.contains("messages")) {
      const std::vector<Message> messages = read_messages();
      const bool asks = !messages.empty() && messages.back().role == Role::user;
      return tokenizer.encode_pieces(asks ? prompt_template.prompt(messages)
                                          : prompt_template.conversation(messages));
    }
    const Json* text = row_.is_object() && row_.contains("text") ? &row_["text"] : &row_;
    if (!text->is_string()) fail("expected a string, {\"text\"} or {\"messages\"}");
    return tokenizer.encode_pieces({{.kind = TemplatePiece::Kind::bos}, {.text = text->get<std::string>()}});
  }

 private:
  std::vector<Message> read_messages() const {
    std::vector<Message> messages;
    if (!row_["messages"].is_array()) fail("\"messages\": expected a list");
    for (const Json& message : row_["messages"]) {
      if (!message.is_object() || !message.contains("content") || !message["content"].is_string())
        fail("a message is {\"role\", \"content\"} with a text as its content");
      messages.push_back({.role = role_of(message), .content = message["content"].get<std::string>()});
    }
    return messages;
  }

  Role role_of(const Json& message) const {
    const Json role = message.value("role", Json());
    if (role == "system") return Role::system;
    if (role == "user") return Role::user;
    if (role == "assistant") return Role::assistant;
    fail(fmt::format("\"role\": expected \"system\", \"user\" or \"assistant\", found {}",
                     describe_value(role)));
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw DataError(fmt::format("{}: {}", place_, reason));
  }

  std::string place_;
  Json row_;
};

void print(const EncodedPieces& encoded, const Tokenizer& tokenizer, bool json) {
  if (json) {
    Json pieces = Json::array();
    for (const TokenId id : encoded.ids) pieces.push_back(tokenizer.piece(id));
    Json row = {{"ids", encoded.ids}, {"pieces", pieces}};
    if (!encoded.supervised.empty()) row["supervised"] = encoded.supervised;
    std::cout << row.dump() << "\n";
    return;
  }
  for (const TokenId id : encoded.ids) std::cout << fmt::format("{:>7}  {}\n", id, tokenizer.piece(id));
}

void inspect_file(const TokensOptions& options, const Tokenizer& tokenizer) {
  const PromptTemplate prompt_template = read_template_option(options.prompt_template);
  prompt_template.check(tokenizer);
  std::ifstream file(options.file);
  if (!file) throw UsageError(fmt::format("--file {}: no such file, or it may not be read", options.file));
  size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty()) continue;
    print(Row(line, options.file, number).encode(tokenizer, prompt_template), tokenizer, options.json);
  }
}

void run(const TokensOptions& options) {
  check_utf8("--text", options.text);
  const auto tokenizer = load_tokenizer(options.model);
  if (options.file.empty())
    print({.ids = tokenizer->encode_prompt(options.text), .supervised = {}}, *tokenizer, options.json);
  else
    inspect_file(options, *tokenizer);
}

}  // namespace

void add_inspect_tokens(CLI::App& inspect) {
  auto options = std::make_shared<TokensOptions>();
  auto* command = inspect.add_subcommand("tokens", "Ids and pieces of a text, BOS included");
  command->add_option("model", options->model, "Model folder, or a tokenizer file")->required();
  auto* text = command->add_option("--text", options->text, "The text");
  auto* file = command->add_option("--file", options->file,
                                   "JSONL file of strings, {\"text\"}, or {\"messages\": [{\"role\", "
                                   "\"content\"}]}; one answer a line");
  text->excludes(file);
  command->add_option("--template", options->prompt_template, "Prompt template of the messages")
      ->needs(file)
      ->capture_default_str();
  command->add_flag("--json", options->json,
                    "Print JSON: ids, pieces; of --file also supervised, 1 for what is trained");
  command->footer("Example: excitor inspect tokens models/tiny-world --text \"Hello\"");
  command->callback([options, text, file] {
    if (text->count() + file->count() == 0)
      throw UsageError("inspect tokens: give --text TEXT or --file LINES.jsonl");
    run(*options);
  });
}

}  // namespace excitor
