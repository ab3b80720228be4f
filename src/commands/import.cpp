// excitor import: adapters of other programs as ours.
#include <filesystem>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/interchange/llama_adapter.h>
#include <excitor/interchange/peft.h>
#include <excitor/model/checkpoint.h>
#include <excitor/util/error.h>

#include "base_folder.h"
#include "commands.h"

namespace excitor {
namespace {

struct ImportCommandOptions {
  std::string source;
  std::string output;
  std::string model;
  ImportOptions import;
  bool json = false;
};

ImportBase open_base(const std::string& folder) {
  LlamaConfig config = read_llama_config(folder);
  const BaseWeight weight = [files = open_weights(folder, config)](const std::string& name) {
    return load_weight(files.at(name), at::kFloat);
  };
  return {.name = folder, .config = config, .weight = weight};
}

void print_result(const ImportCommandOptions& options) {
  const AdapterSettings adapter = read_adapter_method(options.output);
  const Json settings = write_settings([&](Describer& d) { adapter.method->describe(d); });
  if (options.json) {
    std::cout
        << Json{{"output", options.output}, {"method", adapter.method->name()}, {"settings", settings}}.dump()
        << "\n";
  } else {
    std::cout << fmt::format("method {} written to {}\nsettings: {}\n", adapter.method->name(),
                             options.output, settings.dump());
  }
}

void run(const ImportCommandOptions& options) {
  if (!std::filesystem::exists(options.source)) {
    throw UsageError(fmt::format("{}: no such file or folder; give a .pth of LLaMA-Adapter or a PEFT folder",
                                 options.source));
  }
  check_output_is_free(options.output);
  ImportOptions import = options.import;
  if (!options.model.empty()) import.base = open_base(options.model);
  if (std::filesystem::is_directory(options.source)) {
    import_peft(options.source, options.output, import);
  } else {
    import_llama_adapter(options.source, options.output, import);
  }
  print_result(options);
}

}  // namespace

void add_import_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<ImportCommandOptions>();
  auto* command = app.add_subcommand("import", "Reads an adapter of another program into an adapter folder");
  command
      ->add_option("source", options->source,
                   "A .pth of the original LLaMA-Adapter (V1, V2 chat, V2 multimodal), or a PEFT folder")
      ->required();
  command->add_option("--output", options->output, "Adapter folder to write; nothing is overwritten")
      ->required();
  command->add_option("--model", options->model,
                      "Folder of the base; needed where the file does not tell its shape (V2 chat)");
  command
      ->add_option("--adapter-len", options->import.adapter_len,
                   "LLaMA-Adapter: prompts a layer; default 10, as in the releases")
      ->check(CLI::Range(1, 1 << 20));
  command
      ->add_option("--visual-heads", options->import.visual_heads,
                   "LLaMA-Adapter V2 multimodal: attention heads of the visual blocks; default 16, as in the "
                   "release")
      ->check(CLI::Range(1, 1 << 16));
  command->add_option(
      "--vision", options->import.vision,
      "LLaMA-Adapter V2 multimodal: folder of its CLIP tower (the release's is ViT-L/14), to be "
      "recorded; without it each use needs --vision");
  command
      ->add_option("--gate-activation", options->import.gate_activation,
                   "LLaMA-Adapter: tanh (default), as its training code has it, or none, as the inference "
                   "code released with "
                   "V1")
      ->check(CLI::IsMember({"tanh", "none"}));
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Example: excitor import llama_adapter_len10_layer30_release.pth --output adapters/alpaca-v1");
  command->callback([options] { run(*options); });
}

}  // namespace excitor
