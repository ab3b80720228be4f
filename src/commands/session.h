// A frozen model with its tokenizer and, if one is asked for, an adapter: what generate and inspect work on.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <excitor/device/device.h>
#include <excitor/methods/adapter_files.h>
#include <excitor/model/checkpoint.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/train/train_settings.h>

namespace CLI {
class App;
}

namespace excitor {

struct SessionOptions {
  std::string model;    ///< folder
  std::string adapter;  ///< folder, or empty: the base alone
  std::string dtype = "auto";
  std::string device = "cpu";  ///< as open_device() takes it
  bool force = false;          ///< use an adapter of another base or tokenizer all the same
  bool needs_tokenizer = true;
};

struct Session {
  LoadedModel base;
  std::unique_ptr<Tokenizer> tokenizer;  ///< null when not needed
  std::optional<LoadedAdapter> adapter;
  std::unique_ptr<ModelBypass> bypass;  ///< null without an adapter
};

Session open_session(const SessionOptions& options);

/// Adds the model's folder, --adapter, --dtype, --device ("auto" by default) and --force.
void add_session_options(CLI::App& command, SessionOptions& options);
/// Adds --device alone.
void add_device_option(CLI::App& command, SessionOptions& options);

/// The configuration with the tokenizer's BOS and EOS where it has none itself (Meta's folders of LLaMA 1 and
/// 2).
LlamaConfig with_token_ids(LlamaConfig config, const Tokenizer& tokenizer);

/// Throws UsageError that names the option when its text is not UTF-8.
void check_utf8(const char* option, const std::string& text);

/// "auto" -> fp32 (the exact type on a CPU), else the named type.
at::ScalarType resolve_dtype(const std::string& name);
/// The same for weights in `folder` (empty: random ones) on `device`: on a GPU "auto" is the stored type.
at::ScalarType resolve_dtype(const std::string& name, at::Device device, const std::string& folder);
/// The type of the activations beside a base of type `base`.
at::ScalarType activation_type(Precision precision, at::ScalarType base);

}  // namespace excitor
