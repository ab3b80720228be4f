// A frozen model with its tokenizer and, if one is asked for, an adapter: what generate and inspect work on.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <excitor/device/device.h>
#include <excitor/methods/adapter_files.h>
#include <excitor/model/checkpoint.h>
#include <excitor/tokenizer/tokenizer.h>

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

/// Throws UsageError that names the option when its text is not UTF-8.
void check_utf8(const char* option, const std::string& text);

}  // namespace excitor
