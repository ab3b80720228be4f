// excitor generate: answers prompts with the base or an adapter.
#include <algorithm>
#include <iostream>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/data/prompts.h>
#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>

#include "commands.h"
#include "generation_options.h"
#include "image_options.h"

namespace excitor {
namespace {

struct GenerateOptions {
  GenerationOptions generation;
  ImageOptions images;
  std::string prompt;
  std::string input;
  std::string image;
  std::string prompts_file;
  bool json = false;
};

/// Invalid UTF-8 (a broken sequence at the end of an answer) becomes U+FFFD.
std::string dump_json(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Gives the tokens of prompt and answer together.
int64_t answer(const GenerateOptions& options, const Answerer& answerer, const ImagePrompt& asked,
               const SeenImage& seen) {
  const bool stream = !options.json && isatty(STDOUT_FILENO);
  const TextSink sink =
      stream ? TextSink([](std::string_view text) { std::cout << text << std::flush; }) : TextSink();
  const Generator& generator = answerer.generator;
  const Instruction instruction = with_context(asked.instruction, seen.words);
  const auto prompt = generator.tokenizer.encode_pieces(answerer.prompt_template.prompt(instruction)).ids;
  const Generation generation = generator.generate(prompt, answerer.sampling, sink, seen.features);
  if (options.json) {
    Json row = {{"prompt", asked.instruction.instruction},
                {"text", generation.text},
                {"token_ids", generation.token_ids}};
    if (!asked.image.empty()) row["image"] = asked.image.string();
    if (!seen.words.empty()) row["context"] = seen.words;
    std::cout << dump_json(row);
  } else if (!stream) {
    std::cout << generation.text;
  }
  std::cout << std::endl;
  if (StopSignals::requested() != 0) throw Interrupted("stopped", StopSignals::requested());
  return std::ssize(prompt) + std::ssize(generation.token_ids);
}

void warn_beyond_positions(int64_t longest, int64_t positions) {
  if (longest <= positions) return;
  log::warning(fmt::format(
      "prompt and answer have up to {} tokens, but max_position_embeddings is {}: beyond it lie positions "
      "that the model has never seen; shorten the prompt or lower --max-new-tokens",
      longest, positions));
}

/// What is asked, each with its own image or that of --image; about an image alone, what captions are asked.
std::vector<ImagePrompt> prompts_of(const GenerateOptions& options) {
  std::vector<ImagePrompt> prompts;
  if (options.prompts_file.empty())
    prompts.push_back({.instruction = {options.prompt.empty() && !options.image.empty()
                                           ? caption_instruction(options.generation.session.adapter)
                                           : options.prompt,
                                       options.input},
                       .image = {}});
  else
    prompts = read_prompts(options.prompts_file);
  for (ImagePrompt& prompt : prompts) {
    if (prompt.image.empty()) prompt.image = options.image;
  }
  return prompts;
}

/// Finds what is wrong with the images before the model is loaded.
void check_images(const GenerateOptions& options, const std::vector<ImagePrompt>& prompts,
                  const ImageViewer& viewer) {
  std::set<std::filesystem::path> files;
  for (const ImagePrompt& prompt : prompts) {
    if (!prompt.image.empty()) files.insert(prompt.image);
  }
  if (files.empty()) return check_no_image_options(options.images);
  viewer.check_has_use();
  ImageViewer::check_images({files.begin(), files.end()});
}

void run(const GenerateOptions& options) {
  const std::vector<ImagePrompt> prompts = prompts_of(options);
  ImageViewer viewer(options.images, options.generation.session);
  check_images(options, prompts, viewer);
  const Session session = open_session(options.generation.session);
  Answerer answerer = make_answerer(options.generation, session);
  const StopSignals signals;
  int64_t longest = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const SeenImage seen = prompts[i].image.empty() ? SeenImage() : viewer.look(prompts[i].image, session);
    answerer.sampling.prompt_index = i;
    longest = std::max(longest, answer(options, answerer, prompts[i], seen));
  }
  warn_beyond_positions(longest, session.base.model.config().max_position_embeddings);
  if (!std::cout) throw IoError("standard output: cannot write the answer");
}

}  // namespace

void add_generate_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<GenerateOptions>();
  auto* command =
      app.add_subcommand("generate", "Answers prompts with a model, or with an adapter beside it");
  add_generation_options(*command, options->generation);
  add_image_options(*command, options->images);
  command->add_option("--image", options->image, "JPEG, PNG or WebP file that the instruction is about");
  auto* prompt =
      command->add_option("--prompt", options->prompt,
                          "The instruction; with --image it may be left out: a caption is asked for");
  command->add_option("--input", options->input, "The text that the instruction is about");
  auto* file = command->add_option(
      "--prompts", options->prompts_file,
      "JSONL file with rows {\"prompt\"} or {\"instruction\", \"input\"}, and {\"image\"}, relative "
      "to the file");
  prompt->excludes(file);
  command->add_flag("--json", options->json, "One JSON object a prompt: prompt, text, token_ids");
  command->footer(
      "Example: excitor generate models/tiny-world --adapter runs/tiny-world-excitor/adapter --prompt \"Name "
      "three fruits.\"");
  command->callback([options, prompt, file] {
    if (prompt->count() + file->count() == 0 && options->image.empty())
      throw UsageError("generate: give --prompt TEXT, --prompts FILE.jsonl, or --image FILE");
    check_utf8("--prompt", options->prompt);
    check_utf8("--input", options->input);
    run(*options);
  });
}

}  // namespace excitor
