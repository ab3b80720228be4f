// How the frozen model of a run or a command is loaded: its types, and the tokens that end a text.
#pragma once

#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <excitor/model/llama_config.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/train/train_settings.h>

namespace excitor {

/// "auto" -> fp32 (the exact type on a CPU), else the named type.
at::ScalarType resolve_dtype(const std::string& name);
/// The same for weights in `folder` (empty: random ones) on `device`: on a GPU "auto" is the stored type.
at::ScalarType resolve_dtype(const std::string& name, at::Device device, const std::string& folder);
/// The type of the activations beside a base of type `base`.
at::ScalarType activation_type(Precision precision, at::ScalarType base);

/// The configuration with the tokenizer's BOS and EOS where it has none itself (Meta's folders of LLaMA 1 and
/// 2).
LlamaConfig with_token_ids(LlamaConfig config, const Tokenizer& tokenizer);

}  // namespace excitor
