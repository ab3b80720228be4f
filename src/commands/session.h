// A frozen model with its tokenizer and, if one is asked for, an adapter: what generate and inspect work on.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <excitor/methods/adapter_files.h>
#include <excitor/model/checkpoint.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/train/train_settings.h>

namespace excitor {

struct SessionOptions {
  std::string model;    ///< folder
  std::string adapter;  ///< folder, or empty: the base alone
  std::string dtype = "auto";
  bool force = false;  ///< use an adapter of another base or tokenizer all the same
  bool needs_tokenizer = true;
};

struct Session {
  LoadedModel base;
  std::unique_ptr<Tokenizer> tokenizer;  ///< null when not needed
  std::optional<LoadedAdapter> adapter;
  std::unique_ptr<ModelBypass> bypass;  ///< null without an adapter
};

Session open_session(const SessionOptions& options);

/// The configuration with the tokenizer's BOS and EOS where it has none itself (Meta's folders of LLaMA 1 and 2).
LlamaConfig with_token_ids(LlamaConfig config, const Tokenizer& tokenizer);

/// Throws UsageError that names the option when its text is not UTF-8.
void check_utf8(const char* option, const std::string& text);

/// "auto" -> fp32 (the exact type on a CPU), else the named type.
at::ScalarType resolve_dtype(const std::string& name);
/// The type of the activations beside a base of type `base`.
at::ScalarType activation_type(Precision precision, at::ScalarType base);

}  // namespace excitor
