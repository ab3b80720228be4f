// What a tokenizer consists of in a folder that transformers reads.
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/interchange/hugging_face.h>
#include <excitor/tokenizer/sentencepiece_json.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// Writes what transformers needs beside a SentencePiece model that came alone, as Meta's do. Without it
/// transformers 5 takes a tokenizer that neither begins with BOS nor puts a space in front; as a
/// LlamaTokenizer it would not read the order of the merges from the model, nor see a text's first space.
void describe_sentencepiece(const fs::path& folder) {
  const fs::path config = folder / "tokenizer_config.json", json = folder / "tokenizer.json",
                 model = folder / "tokenizer.model";
  if (fs::exists(config) || fs::exists(json) || !fs::exists(model)) return;
  try {
    const std::optional<Json> translated = sentencepiece_as_tokenizer_json(model);
    if (!translated) return;
    const auto tokenizer = load_tokenizer(model);
    write_file_atomically(json, translated->dump() + "\n");
    write_file_atomically(config, Json{{"tokenizer_class", "PreTrainedTokenizerFast"},
                                       {"bos_token", tokenizer->piece(tokenizer->bos())},
                                       {"eos_token", tokenizer->piece(tokenizer->eos())},
                                       {"unk_token", (*translated)["model"]["unk_token"]},
                                       {"clean_up_tokenization_spaces", false}}
                                          .dump(2) +
                                      "\n");
  } catch (const CheckpointError& error) {
    log::warning(fmt::format("{}; the file is copied as it is, without tokenizer.json", error.what()));
  }
}

}  // namespace

void copy_tokenizer(const fs::path& source, const fs::path& folder) {
  const auto copy = [&](const fs::path& from) {
    write_file_atomically(folder / from.filename(), read_file(from));
  };
  if (!fs::is_directory(source)) {
    const char* name = source.extension() == ".json" ? "tokenizer.json" : "tokenizer.model";
    write_file_atomically(folder / name, read_file(source));
    return describe_sentencepiece(folder);
  }
  for (const char* name : {"tokenizer.model", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"}) {
    if (fs::exists(source / name)) copy(source / name);
  }
  // Meta keeps one tokenizer.model beside the folders of the sizes.
  const fs::path beside = source / ".." / "tokenizer.model";
  if (fs::exists(source / "params.json") && !fs::exists(source / "tokenizer.model") && fs::exists(beside))
    copy(beside);
  describe_sentencepiece(folder);
}

}  // namespace excitor
