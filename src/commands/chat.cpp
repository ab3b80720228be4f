// excitor chat: a conversation with the base or an adapter, question by question from standard input.
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>
#include <excitor/util/utf8.h>

#include "commands.h"
#include "generation_options.h"
#include "image_options.h"

namespace excitor {
namespace {

constexpr const char* kHelp =
    "/image FILE: what the conversation is about from here on;\n"
    "/base: the base's answer to the last question beside the adapter's;\n"
    "/reset: forget the conversation and the image; /quit or end of input: end";

const std::string kImageCommand = "/image";

struct ChatOptions {
  GenerationOptions generation;
  ImageOptions images;
  std::string system;
};

void show(std::string_view text) {
  std::cout << text << std::flush;
}

/// The conversation so far, and what answers it. Each answer is computed from the whole conversation anew:
/// its tokens are then those that training sees.
class Chat {
 public:
  Chat(const ChatOptions& options, const Session& session, ImageViewer viewer)
      : session_(session), answerer_(make_answerer(options.generation, session)), viewer_(std::move(viewer)) {
    if (!options.system.empty()) system_ = Message{.role = Role::system, .content = options.system};
  }

  /// Reads and answers until /quit or the end of input.
  void run() {
    for (std::string line; read_line(line);) {
      if (line == "/quit") return;
      if (line == "/reset")
        reset();
      else if (line == "/base")
        show_base();
      else if (line == kImageCommand || line.starts_with(kImageCommand + " "))
        look_at(line.substr(std::min(line.size(), line.find_first_not_of(' ', kImageCommand.size()))));
      else if (line.starts_with('/'))
        log::warning(fmt::format("there is no {}; {}", line, kHelp));
      else if (!line.empty())
        ask(line);
      if (!std::cout) throw IoError("standard output: cannot write the answer");
    }
  }

 private:
  static bool read_line(std::string& line) {
    if (isatty(STDIN_FILENO)) std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line)) return false;
    if (line.ends_with('\r')) line.pop_back();
    return true;
  }

  /// A file that can't be shown leaves everything as it was.
  void look_at(const std::string& file) {
    if (file.empty()) return log::warning("/image: no file is named; /image FILE");
    const StopSignals signals;
    try {
      image_ = viewer_.look(file, session_);
      log::info(fmt::format("{} is looked at{}{}", file, image_.words.empty() ? "" : "; experts say:\n",
                            image_.words));
    } catch (const Interrupted&) {
      throw;
    } catch (const Error& error) {
      log::warning(error.what());
    }
  }

  void reset() {
    turns_.clear();
    answers_ = 0;
    image_ = {};
    log::info("the conversation is forgotten");
  }

  void ask(const std::string& question) {
    if (const size_t at = find_invalid_utf8(question); at != std::string::npos) {
      log::warning(fmt::format("byte {} of the question is not UTF-8; ask again in UTF-8", at));
      return;
    }
    turns_.push_back({.role = Role::user, .content = question});
    if (!fit_context()) return;
    ++answers_;
    const std::string answer = generate(answerer_.generator);
    turns_.push_back({.role = Role::assistant, .content = answer});
  }

  /// Drops the oldest turns until the prompt leaves room for an answer; false when the question alone does
  /// not fit, which is then forgotten.
  bool fit_context() {
    const int64_t wanted = std::min(answerer_.sampling.max_new_tokens, context_length() / 2);
    size_t dropped = 0;
    for (; turns_.size() > 1 && prompt_tokens() + wanted > context_length(); ++dropped)
      turns_.erase(turns_.begin(), turns_.begin() + 2);
    if (dropped > 0) {
      log::warning(fmt::format("the conversation outgrew the context of {} tokens: its oldest {} dropped",
                               context_length(),
                               dropped == 1 ? "turn was" : fmt::format("{} turns were", dropped)));
    }
    if (prompt_tokens() < context_length()) return true;
    log::warning(
        fmt::format("the question has {} tokens with its template, and the model's context {}; ask a shorter "
                    "one",
                    prompt_tokens(), context_length()));
    turns_.pop_back();
    return false;
  }

  void show_base() {
    if (!answerer_.generator.bypass) return log::warning("/base: there is no adapter; the base has answered");
    if (turns_.empty()) return log::warning("/base: nothing has been asked yet");
    const Message adapters = turns_.back();
    turns_.pop_back();
    Generator base = answerer_.generator;
    base.bypass = nullptr;
    show("base:    ");
    generate(base);
    turns_.push_back(adapters);
    show(fmt::format("adapter: {}\n", adapters.content));
  }

  /// Streams the answer to the last question; returns it.
  std::string generate(const Generator& generator) {
    const std::vector<TokenId> prompt = prompt_ids();
    SamplingSettings sampling = answerer_.sampling;
    sampling.prompt_index = answers_ - 1;
    sampling.max_new_tokens =
        std::min(sampling.max_new_tokens, context_length() - static_cast<int64_t>(prompt.size()));
    const StopSignals signals;
    const Generation generation = generator.generate(prompt, sampling, show, image_.features);
    std::cout << std::endl;
    if (StopSignals::requested() != 0) throw Interrupted("stopped", StopSignals::requested());
    return generation.text;
  }

  std::vector<TokenId> prompt_ids() const {
    std::vector<Message> messages = turns_;
    if (!messages.empty()) messages.front().input = image_.words;
    if (system_) messages.insert(messages.begin(), *system_);
    return answerer_.generator.tokenizer.encode_pieces(answerer_.prompt_template.prompt(messages)).ids;
  }
  int64_t prompt_tokens() const { return static_cast<int64_t>(prompt_ids().size()); }
  int64_t context_length() const { return answerer_.generator.model.config().max_position_embeddings; }

  const Session& session_;
  Answerer answerer_;
  ImageViewer viewer_;
  std::optional<Message> system_;
  std::vector<Message> turns_;  ///< user, assistant, user, …
  uint64_t answers_ = 0;        ///< with the one under way: each draws random numbers of its own
  SeenImage image_;             ///< of the whole conversation; its words stand with the first question
};

void run(const ChatOptions& options) {
  ImageViewer viewer(options.images, options.generation.session);
  const Session session = open_session(options.generation.session);
  Chat chat(options, session, std::move(viewer));
  if (isatty(STDIN_FILENO)) log::info(kHelp);
  chat.run();
}

}  // namespace

void add_chat_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<ChatOptions>();
  auto* command = app.add_subcommand("chat", "A conversation with a model, or with an adapter beside it");
  add_generation_options(*command, options->generation);
  add_image_options(*command, options->images);
  command->add_option("--system", options->system, "System message in front of the conversation");
  command->footer(std::string("In the conversation:\n") + kHelp +
                  ".\nExample: excitor chat models/tiny-world --adapter runs/tiny-world-excitor/adapter");
  command->callback([options] {
    check_utf8("--system", options->system);
    run(*options);
  });
}

}  // namespace excitor
