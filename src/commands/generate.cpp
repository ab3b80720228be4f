// excitor generate: answers prompts with the base or an adapter.
#include <iostream>
#include <memory>

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/data/prompts.h>
#include <excitor/util/error.h>
#include <excitor/util/signals.h>

#include "commands.h"
#include "generation_options.h"

namespace excitor {
namespace {

struct GenerateOptions {
  GenerationOptions generation;
  std::string prompt;
  std::string input;
  std::string prompts_file;
  bool json = false;
};

/// Invalid UTF-8 (a broken sequence at the end of an answer) becomes U+FFFD.
std::string dump_json(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void answer(const GenerateOptions& options, const Answerer& answerer, const Instruction& instruction) {
  const bool stream = !options.json && isatty(STDOUT_FILENO);
  const TextSink sink =
      stream ? TextSink([](std::string_view text) { std::cout << text << std::flush; }) : TextSink();
  const Generator& generator = answerer.generator;
  const auto prompt = generator.tokenizer.encode_pieces(answerer.prompt_template.prompt(instruction)).ids;
  const Generation generation = generator.generate(prompt, answerer.sampling, sink);
  if (options.json) {
    std::cout << dump_json({{"prompt", instruction.instruction},
                            {"text", generation.text},
                            {"token_ids", generation.token_ids}});
  } else if (!stream) {
    std::cout << generation.text;
  }
  std::cout << std::endl;
  if (StopSignals::requested() != 0) throw Interrupted("stopped", StopSignals::requested());
}

void run(const GenerateOptions& options) {
  const std::vector<Instruction> prompts = options.prompts_file.empty()
                                               ? std::vector<Instruction>{{options.prompt, options.input}}
                                               : read_prompts(options.prompts_file);
  const Session session = open_session(options.generation.session);
  const Answerer answerer = make_answerer(options.generation, session);
  const StopSignals signals;
  for (const Instruction& instruction : prompts) answer(options, answerer, instruction);
  if (!std::cout) throw IoError("standard output: cannot write the answer");
}

}  // namespace

void add_generate_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<GenerateOptions>();
  auto* command =
      app.add_subcommand("generate", "Answers prompts with a model, or with an adapter beside it");
  add_generation_options(*command, options->generation);
  auto* prompt = command->add_option("--prompt", options->prompt, "The instruction");
  command->add_option("--input", options->input, "The text that the instruction is about");
  auto* file = command->add_option("--prompts", options->prompts_file,
                                   "JSONL file with rows {\"prompt\"} or {\"instruction\", \"input\"}");
  prompt->excludes(file);
  command->add_flag("--json", options->json, "One JSON object a prompt: prompt, text, token_ids");
  command->footer(
      "Example: excitor generate models/tiny-world --adapter runs/tiny-world-excitor/adapter --prompt \"Name "
      "three fruits.\"");
  command->callback([options, prompt, file] {
    if (prompt->count() + file->count() == 0)
      throw UsageError("generate: give --prompt TEXT or --prompts FILE.jsonl");
    check_utf8("--prompt", options->prompt);
    check_utf8("--input", options->input);
    run(*options);
  });
}

}  // namespace excitor
