// Hugging Face's tokenizer.json, as far as it is BPE: LLaMA 3's byte-level kind, and LLaMA 1 and 2's with
// characters and byte_fallback.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Builds a tokenizer from the content of a tokenizer.json. BOS and EOS are those of the
/// tokenizer_config.json beside `file` (TokenizerFolder), else of config.json or generation_config.json, else
/// what the post_processor puts around a text. Special added tokens are control tokens: no text becomes one.
/// Other added tokens are found in texts, as Hugging Face does.
///
/// Throws CheckpointError that names what is not understood (another model than BPE, a normalizer, …), is
/// missing, stands twice, or leaves a hole. `truncation` and `padding` are not looked at: they are settings
/// of calls that were made when the file was written.
std::unique_ptr<Tokenizer> make_hugging_face_tokenizer(std::string_view content,
                                                       const std::filesystem::path& file);

}  // namespace excitor
