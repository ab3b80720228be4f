// excitor export: an adapter as other programs read it.
#include <filesystem>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/interchange/gguf.h>
#include <excitor/interchange/hugging_face.h>
#include <excitor/interchange/llama_adapter.h>
#include <excitor/interchange/peft.h>
#include <excitor/run/base_model.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "base_folder.h"
#include "commands.h"
#include "session.h"

namespace excitor {
namespace {

/// More than any model has: "-1" becomes a larger number.
constexpr uint64_t kLargestShard = 1'000'000'000'000'000;

struct ExportOptions {
  SessionOptions session{.needs_tokenizer = false};
  std::string format;
  std::string output;
  uint64_t max_shard_bytes = 5'000'000'000;
  bool json = false;
};

/// How far the logits of a merged model are from those of base and adapter.
struct MergeCheck {
  double largest_difference = 0;
  double largest_logit = 0;
  std::string stored_type;
};

MergeCheck merge(const ExportOptions& options, Session session) {
  LlamaConfig config = session.base.model.config();
  const bool is_meta_folder =
      !std::filesystem::exists(std::filesystem::path(options.session.model) / "config.json");
  if (is_meta_folder) config = with_token_ids(config, *load_tokenizer(options.session.model));
  export_hugging_face(options.output, {.base_folder = options.session.model,
                                       .base_config = config,
                                       .base_weights = open_weights(options.session.model, config),
                                       .adapter = *session.adapter,
                                       .max_shard_bytes = options.max_shard_bytes});
  const at::Tensor expected = probe_logits(session.base.model, session.bypass.get());  // [T,V]
  SessionOptions merged_options{
      .model = options.output, .dtype = session.base.stored_type, .needs_tokenizer = false};
  Session merged = open_session(merged_options);
  const at::Tensor found = probe_logits(merged.base.model, nullptr);  // [T,V]
  return {.largest_difference = (found - expected).abs().max().item<double>(),
          .largest_logit = expected.abs().max().item<double>(),
          .stored_type = session.base.stored_type};
}

void print_result(const ExportOptions& options, const MergeCheck* check) {
  if (options.json) {
    Json result = {{"format", options.format}, {"output", options.output}};
    if (check) {
      result.update({{"dtype", check->stored_type},
                     {"largest_logit_difference", check->largest_difference},
                     {"largest_logit", check->largest_logit}});
    }
    std::cout << result.dump() << "\n";
    return;
  }
  std::cout << fmt::format("{} written to {}\n", options.format, options.output);
  if (!check) return;
  const bool exact = check->stored_type == "float32";
  std::cout << fmt::format(
      "largest logit difference between base + adapter and the merged model: {:.3g} (largest logit "
      "{:.3g}){}\n",
      check->largest_difference, check->largest_logit,
      exact ? "" : "; it includes the rounding of the merged weights to " + check->stored_type);
}

void run(const ExportOptions& options) {
  check_output_is_free(options.output);
  SessionOptions session_options = options.session;
  session_options.dtype = stored_dtype(options.session.model);
  Session session = open_session(session_options);
  const LlamaConfig& config = session.base.model.config();
  if (options.format == "hf") {
    const MergeCheck check = merge(options, std::move(session));
    return print_result(options, &check);
  }
  const BaseWeight weight = [&](const std::string& name) { return base_weight(session.base.model, name); };
  if (options.format == "peft")
    export_peft(options.output, *session.adapter, {options.session.model, config, weight});
  if (options.format == "gguf") export_gguf(options.output, *session.adapter, config);
  if (options.format == "llama-adapter")
    export_llama_adapter(options.output, *session.adapter, {config, weight});
  print_result(options, nullptr);
}

}  // namespace

void add_export_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<ExportOptions>();
  auto* command = app.add_subcommand("export", "Writes an adapter in another program's format");
  command->add_option("model", options->session.model, "Model folder: the adapter's base")->required();
  command->add_option("--adapter", options->session.adapter, "Adapter folder")->required();
  command
      ->add_option(
          "--format", options->format,
          "peft: a folder for PEFT; hf: base and adapter merged, a Hugging Face folder; llama-adapter: "
          "the original's .pth; gguf: a LoRA for llama.cpp")
      ->check(CLI::IsMember({"peft", "hf", "llama-adapter", "gguf"}))
      ->required();
  command->add_option("--output", options->output, "Folder or file to write; nothing is overwritten")
      ->required();
  command
      ->add_option("--max-shard-size", options->max_shard_bytes,
                   "hf: bytes of a weight file, such as 500MB; default 5GB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->check(CLI::Range(uint64_t{1}, kLargestShard));
  command->add_flag("--json", options->json, "Print JSON");
  command->add_flag("--force", options->session.force, "Export an adapter of another base all the same");
  command->footer(
      "Example: excitor export models/llama-7b --adapter runs/lora/adapter --format hf --output merged");
  command->callback([options] { run(*options); });
}

}  // namespace excitor
