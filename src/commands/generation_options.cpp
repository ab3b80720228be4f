#include "generation_options.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/model/llama_config.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

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

/// The template of --template, else the one that the adapter was trained with, else plain.
PromptTemplate choose_template(const GenerationOptions& options, const Session& session) {
  if (!options.prompt_template.empty()) return read_template_option(options.prompt_template);

  const Json recorded = session.adapter ? session.adapter->origin.prompt_template : Json("");
  if (recorded == "") return PromptTemplate("plain");
  try {
    return PromptTemplate(recorded);
  } catch (const ConfigError& error) {
    throw CheckpointError(fmt::format("{}/adapter_config.json: prompt_template: {}; or give --template",
                                      options.session.adapter, error.what()));
  }
}

}  // namespace

void add_generation_options(CLI::App& command, GenerationOptions& options) {
  add_session_options(command, options.session);
  command.add_option(
      "--template", options.prompt_template,
      "Prompt template: alpaca, llama2, llama3, vicuna, chatml, plain, or a JSON file; default: "
      "the adapter's, else plain");
  add_sampling_options(command, options.sampling);
}

PromptTemplate read_template_option(const std::string& name_or_file) {
  const auto names = PromptTemplate::known_names();
  const bool is_name = std::find(names.begin(), names.end(), name_or_file) != names.end();
  if (is_name || !std::filesystem::is_regular_file(name_or_file)) return PromptTemplate(name_or_file);
  try {
    return PromptTemplate(read_json_file(name_or_file, JsonDialect::with_comments));
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("--template {}: {}", name_or_file, error.what()));
  }
}

Answerer make_answerer(const GenerationOptions& options, const Session& session) {
  const PromptTemplate prompt_template = choose_template(options, session);
  prompt_template.check(*session.tokenizer);
  SamplingSettings sampling = options.sampling;
  for (const std::string& text : prompt_template.stop_texts()) sampling.stop.push_back(text);
  std::vector<int64_t> end_ids = read_end_ids(options.session.model, session.base.model.config());
  for (const TokenId id : prompt_template.stop_ids(*session.tokenizer)) end_ids.push_back(id);
  return {.prompt_template = prompt_template,
          .sampling = sampling,
          .generator = {.model = session.base.model,
                        .bypass = session.bypass.get(),
                        .tokenizer = *session.tokenizer,
                        .end_ids = end_ids}};
}

}  // namespace excitor
