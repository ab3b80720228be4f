// excitor generate: answers prompts with the base or an adapter.
#include <cstdio>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/data/prompts.h>
#include <excitor/generate/generate.h>
#include <excitor/tokenizer/prompt_template.h>
#include <excitor/util/error.h>
#include <excitor/util/signals.h>

#include "commands.h"
#include "session.h"

namespace excitor {
namespace {

struct GenerateOptions {
  SessionOptions session;
  SamplingSettings sampling;
  std::string prompt;
  std::string input;
  std::string prompts_file;
  std::string prompt_template;
  bool json = false;
};

/// The template of --template, else the one that the adapter was trained with, else plain.
PromptTemplate choose_template(const GenerateOptions& options, const Session& session) {
  if (!options.prompt_template.empty()) return PromptTemplate(options.prompt_template);
  const std::string recorded = session.adapter ? session.adapter->origin.prompt_template : "";
  if (recorded.empty()) return PromptTemplate("plain");
  try {
    return PromptTemplate(recorded);
  } catch (const ConfigError& error) {
    throw CheckpointError(fmt::format("{}/adapter_config.json: prompt_template: {}; or give --template",
                                      options.session.adapter, error.what()));
  }
}

/// Invalid UTF-8 (a broken sequence at the end of an answer) becomes U+FFFD.
std::string dump_json(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void answer(const GenerateOptions& options, const Generator& generator, const PromptTemplate& prompt_template,
            const Instruction& instruction) {
  const bool stream = !options.json && isatty(STDOUT_FILENO);
  const TextSink sink =
      stream ? TextSink([](std::string_view text) { std::cout << text << std::flush; }) : TextSink();
  const auto prompt = generator.tokenizer.encode_prompt(prompt_template.render(instruction));
  const Generation generation = generator.generate(prompt, options.sampling, sink);
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
  const Session session = open_session(options.session);
  const PromptTemplate prompt_template = choose_template(options, session);
  const Generator generator{.model = session.base.model,
                            .bypass = session.bypass.get(),
                            .tokenizer = *session.tokenizer,
                            .end_ids = read_end_ids(options.session.model, session.base.model.config())};
  const StopSignals signals;
  for (const Instruction& instruction : prompts) answer(options, generator, prompt_template, instruction);
  if (!std::cout) throw IoError("standard output: cannot write the answer");
}

/// A check that NaN fails and whose message is short.
CLI::Validator number_between(double lowest, double highest) {
  return CLI::Validator(
      [lowest, highest](std::string& text) -> std::string {
        double value = 0;
        const bool is_number = CLI::detail::lexical_cast(text, value);
        if (is_number && value >= lowest && value <= highest) return "";
        return fmt::format("found \"{}\", expected a number from {} to {}", text, lowest, highest);
      },
      "");
}

void add_sampling_options(CLI::App& command, SamplingSettings& s) {
  command.add_option("--max-new-tokens", s.max_new_tokens, "Longest answer in tokens")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command.add_option("--temperature", s.temperature, "0: greedy")
      ->check(number_between(0, 100))
      ->capture_default_str();
  command.add_option("--top-p", s.top_p, "Sample from the smallest set of tokens with this probability")
      ->check(number_between(0, 1))
      ->capture_default_str();
  command.add_option("--top-k", s.top_k, "Sample from the k best tokens; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--repetition-penalty", s.repetition_penalty,
                  "Above 1: tokens that were there are less likely")
      ->check(number_between(0.01, 100))
      ->capture_default_str();
  command.add_option("--seed", s.seed, "Seed of the sampling")
      ->check(number_between(0, 1.8e19))
      ->capture_default_str();
  command.add_option("--stop", s.stop, "End the answer before this text (may be given several times)")
      ->allow_extra_args(false);
}

}  // namespace

void add_generate_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<GenerateOptions>();
  auto* command =
      app.add_subcommand("generate", "Answers prompts with a model, or with an adapter beside it");
  command->add_option("model", options->session.model, "Model folder")->required();
  command->add_option("--adapter", options->session.adapter, "Adapter folder");
  auto* prompt = command->add_option("--prompt", options->prompt, "The instruction");
  command->add_option("--input", options->input, "The text that the instruction is about");
  auto* file = command->add_option("--prompts", options->prompts_file,
                                   "JSONL file with rows {\"prompt\"} or {\"instruction\", \"input\"}");
  prompt->excludes(file);
  command->add_option("--template", options->prompt_template,
                      "Prompt template: alpaca, plain; default: the adapter's, else plain");
  command->add_option("--dtype", options->session.dtype, "Type to compute in; auto: float32 on a CPU")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16", "fp32", "bf16", "fp16"}));
  command->add_flag("--json", options->json, "One JSON object a prompt: prompt, text, token_ids");
  command->add_flag("--force", options->session.force,
                    "Use an adapter of another base or tokenizer all the same");
  add_sampling_options(*command, options->sampling);
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
