#include "session.h"

#include <filesystem>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <excitor/run/base_model.h>
#include <excitor/util/error.h>
#include <excitor/util/utf8.h>

namespace excitor {

void check_utf8(const char* option, const std::string& text) {
  const size_t at = find_invalid_utf8(text);
  if (at != std::string::npos)
    throw UsageError(fmt::format("{}: byte {} of the text is not UTF-8; give it in UTF-8", option, at));
}

void add_session_options(CLI::App& command, SessionOptions& options) {
  command.add_option("model", options.model, "Model folder")->required();
  command.add_option("--adapter", options.adapter, "Adapter folder");
  command.add_option("--dtype", options.dtype, "Type to compute in; auto: float32 on a CPU")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16", "fp32", "bf16", "fp16"}));
  add_device_option(command, options);
  command.add_flag("--force", options.force,
                   "Use an adapter of another base, tokenizer or vision tower all the same");
}

void add_device_option(CLI::App& command, SessionOptions& options) {
  options.device = "auto";
  command.add_option("--device", options.device, "Where to compute: auto, cpu, cuda, or cuda:N for GPU N")
      ->capture_default_str();
}

Session open_session(const SessionOptions& options) {
  if (!std::filesystem::is_directory(options.model)) {
    throw ConfigError(fmt::format("{}: {}", options.model,
                                  std::filesystem::exists(options.model)
                                      ? "is a file; give the model's folder"
                                      : "no such model folder"));
  }
  std::unique_ptr<Tokenizer> tokenizer = options.needs_tokenizer ? load_tokenizer(options.model) : nullptr;
  const at::Device device = open_device(options.device).device;
  Session session{
      .base = load_model(options.model, resolve_dtype(options.dtype, device, options.model), device),
      .tokenizer = std::move(tokenizer),
      .adapter = {},
      .bypass = nullptr};
  if (session.tokenizer)
    session.tokenizer->require_rows(session.base.model.config().vocab_size, options.model);
  if (options.adapter.empty()) return session;
  const AdapterExpectation expected{.base_fingerprint = session.base.fingerprint,
                                    .tokenizer_sha256 = session.tokenizer ? session.tokenizer->sha256() : "",
                                    .force = options.force};
  const LlamaConfig& config = session.base.model.config();
  session.adapter = load_adapter(options.adapter, config, expected, device);
  session.bypass = session.adapter->method->bypass(config, session.adapter->parameters);
  return session;
}

}  // namespace excitor
