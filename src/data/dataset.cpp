#include <excitor/data/dataset.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include <excitor/util/error.h>

#include "alpaca_reader.h"
#include "memory_dataset.h"
#include "row_errors.h"
#include "text_reader.h"
#include "tokenise.h"

namespace excitor {
namespace {

std::string format_of(const DataFileSettings& file) {
  if (file.format != "auto") return file.format;
  const std::string extension = std::filesystem::path(file.path).extension().string();
  if (extension == ".json" || extension == ".jsonl") return "alpaca";
  if (extension == ".txt") return "text";
  throw ConfigError(
      fmt::format("{}: the format can't be told from the name (.json, .jsonl: alpaca; .txt: text); set "
                  "\"format\" beside the path",
                  file.path));
}

void require_file(const std::string& path) {
  std::error_code refused;
  const auto kind = std::filesystem::status(path, refused).type();
  if (kind == std::filesystem::file_type::directory) {
    throw ConfigError(fmt::format("{} is a folder; a data file is expected", path));
  }
  if (!std::filesystem::exists(path, refused)) {
    throw ConfigError(fmt::format("the data file {} does not exist or may not be read", path));
  }
}

void read_file_into(const DataFileSettings& file, const PromptTemplate& prompt_template, RowErrors& errors,
                    SourceExamples& out) {
  const std::string format = format_of(file);
  const size_t before = out.examples.size();
  if (format == "alpaca")
    read_alpaca(file.path, prompt_template, errors, out);
  else if (format == "text")
    read_text(file.path, errors, out);
  else
    throw ConfigError(fmt::format("{}: unknown format \"{}\"; known: alpaca, text, auto", file.path, format));
  if (out.examples.size() == before && errors.empty())
    throw DataError(file.path + ": no examples in the file");
}

SourceExamples read_files(const std::vector<DataFileSettings>& files, const PromptTemplate& prompt_template) {
  if (files.empty()) throw ConfigError("no data files are named; expected a list of {\"path\", \"format\"}");
  for (const DataFileSettings& file : files) require_file(file.path);
  SourceExamples sources;
  RowErrors errors;
  for (const DataFileSettings& file : files) read_file_into(file, prompt_template, errors, sources);
  errors.throw_if_any();
  return sources;
}

bool holds_conversation(const SourceExamples& sources) {
  return std::ranges::any_of(sources.examples,
                             [](const SourceExample& e) { return e.kind == SourceKind::conversation; });
}

}  // namespace

LoadedDataset load_dataset(const std::vector<DataFileSettings>& files, const DataSettings& settings,
                           const Tokenizer& tokenizer) {
  const PromptTemplate prompt_template(settings.prompt_template);
  const SourceExamples sources = read_files(files, prompt_template);
  if (holds_conversation(sources)) prompt_template.check(tokenizer);
  Tokenised tokenised = tokenise(sources.examples, settings, tokenizer);
  tokenised.errors.throw_if_any();
  tokenised.report.empty = sources.empty;
  if (tokenised.dataset.size() == 0) {
    throw DataError(
        fmt::format("{}: no example is left: all {} are longer than data.max_seq_length {}; raise it or set "
                    "data.on_long_example to \"truncate\"",
                    files.front().path, tokenised.report.dropped, settings.max_seq_length));
  }
  return {.dataset = std::make_unique<MemoryDataset>(std::move(tokenised.dataset)),
          .report = tokenised.report};
}

std::pair<std::unique_ptr<Dataset>, std::unique_ptr<Dataset>> split_dataset(std::unique_ptr<Dataset> all,
                                                                            int64_t val_size) {
  const std::shared_ptr<const Dataset> whole = std::move(all);
  const int64_t size = whole->size();
  if (val_size < 0) throw ConfigError(fmt::format("data.val_size is {}; expected 0 or more", val_size));
  if (val_size >= size) {
    throw ConfigError(
        fmt::format("data.val_size {} leaves nothing of {} examples to train on; lower it", val_size, size));
  }
  return {std::make_unique<DatasetRange>(whole, 0, size - val_size),
          std::make_unique<DatasetRange>(whole, size - val_size, size)};
}

}  // namespace excitor
