#include <excitor/data/dataset.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>

#include "file_hash.h"
#include "file_tokeniser.h"
#include "memory_dataset.h"
#include "row_errors.h"
#include "source_reader.h"
#include "token_cache.h"

namespace excitor {
namespace {

/// From this size on, tokenising takes long enough to be kept.
constexpr uintmax_t kLargeFile = uintmax_t{8} << 20;  // bytes

struct FilePart {
  std::shared_ptr<const Dataset> dataset;  ///< null when the file has bad rows
  LoadedFile file;
};

FilePart from_cache(const FileTask& task, CachedFile cached, bool was_cached) {
  return {.dataset = std::move(cached.dataset),
          .file = {.path = task.file.path,
                   .format = task.file.format,
                   .report = cached.report,
                   .cache_folder = cached.folder.string(),
                   .was_cached = was_cached}};
}

FilePart load_into_memory(const FileTask& task, RowErrors& errors) {
  Tokenised all;
  const FileSummary summary =
      tokenise_file(task, 0, errors, [&](const Tokenised& batch, int64_t) { all.append(batch); });
  all.report.add(summary.report);
  const ExampleFile file(task.file.path, task.file.images, summary.origins_are_lines);
  return {.dataset = std::make_shared<MemoryDataset>(file, std::move(all.examples)),
          .file = {.path = task.file.path, .format = task.file.format, .report = all.report}};
}

bool is_to_be_cached(const FileTask& task, CacheUse cache_use) {
  std::error_code ignored;
  return cache_use == CacheUse::always || task.settings.cache_dir != "auto" ||
         std::filesystem::file_size(task.file.path, ignored) >= kLargeFile;
}

FilePart load_through_cache(const TokenCache& cache, const FileTask& task, CacheUse cache_use,
                            RowErrors& errors) {
  if (auto found = cache.find(task)) return from_cache(task, *std::move(found), true);
  if (!is_to_be_cached(task, cache_use)) return load_into_memory(task, errors);
  const int64_t errors_before = errors.count();
  if (auto made = cache.make(task, errors)) return from_cache(task, *std::move(made), false);
  if (errors.count() == errors_before) throw std::logic_error("TokenCache::make: neither tokens nor errors");
  return {.dataset = nullptr, .file = {.path = task.file.path, .format = task.file.format}};
}

FilePart load_file(const FileTask& task, CacheUse cache_use, RowErrors& errors) {
  const auto folder = cache_folder(task.settings.cache_dir);
  const bool can_be_cached = folder && !task.tokenizer.sha256().empty();
  if (!can_be_cached) return load_into_memory(task, errors);
  try {
    return load_through_cache(TokenCache(*folder), task, cache_use, errors);
  } catch (const IoError& error) {
    if (cache_use == CacheUse::always) throw;
    log::warning(fmt::format("{}: no cache of tokens, the data is tokenised in memory instead: {}",
                             task.file.path, error.what()));
    return load_into_memory(task, errors);
  }
}

DataFileSettings with_its_format(DataFileSettings file) {
  file.format = format_of(file);
  return file;
}

/// Takes an example out of the counts.
void count_out(const Example& example, const std::set<TokenId>& ends, DatasetReport& report) {
  --report.examples;
  report.tokens -= example.tokens();
  report.label_tokens -= example.labels();
  const std::optional<TokenId> last = example.last_label();
  report.ending_in_eos -= last && ends.contains(*last) ? 1 : 0;
  --report.with_image;
  ++report.bad_image;
}

/// A file that was read without errors, but of which nothing is left.
void require_examples(const LoadedFile& file, const DataSettings& settings) {
  const DatasetReport& report = file.report;
  if (report.examples > 0) return;
  const bool dropped = settings.on_long_example == LongExamples::drop;
  throw DataError(fmt::format("{}: no example is left: {} {} data.max_seq_length {}; raise it{}", file.path,
                              dropped ? report.dropped : report.prompt_too_long,
                              dropped ? "are longer than" : "prompts alone fill", settings.max_seq_length,
                              dropped ? " or set data.on_long_example to \"truncate\"" : ""));
}

/// Writes the file's name in front of the rows that were left out.
void name_file(LoadedFile& file) {
  for (LeftOutRow& row : file.report.left_out) row.place.insert(0, file.path);
}

/// Says how many rows of a file were left out though no setting asks for it, and which are the first.
void warn_of_left_out_rows(const LoadedFile& file) {
  const DatasetReport& report = file.report;
  const int64_t count = report.empty + report.prompt_too_long;
  if (count == 0) return;
  std::string text = fmt::format("{}: {} rows are left out", file.path, count);
  for (const LeftOutRow& row : report.left_out) text += "\n  " + row.text();
  if (const int64_t hidden = count - std::ssize(report.left_out); hidden > 0)
    text += fmt::format("\n  … and {} more", hidden);
  log::warning(text);
}

}  // namespace

LoadedDataset load_dataset(const std::vector<DataFileSettings>& files, const DataSettings& settings,
                           const Tokenizer& tokenizer, CacheUse cache_use) {
  if (files.empty()) throw ConfigError("no data files are named; expected a list of {\"path\", \"format\"}");
  const PromptTemplate prompt_template(settings.prompt_template);
  RowErrors errors;
  LoadedDataset loaded;
  std::vector<std::shared_ptr<const Dataset>> parts;
  for (const DataFileSettings& file : files) {
    const FileTask task{.file = with_its_format(file),
                        .settings = settings,
                        .prompt_template = prompt_template,
                        .tokenizer = tokenizer};
    FilePart part = load_file(task, cache_use, errors);
    part.file.weight = file.weight;
    name_file(part.file);
    loaded.report.add(part.file.report);
    loaded.files.push_back(std::move(part.file));
    if (part.dataset) parts.push_back(std::move(part.dataset));
  }
  errors.throw_if_any();
  for (const LoadedFile& file : loaded.files) {
    warn_of_left_out_rows(file);
    require_examples(file, settings);
  }
  loaded.dataset = std::make_unique<JoinedDataset>(std::move(parts));
  return loaded;
}

std::string hash_contents(const std::vector<DataFileSettings>& files, const std::string& cache_dir) {
  const auto folder = cache_folder(cache_dir);
  std::string hashes;
  for (const DataFileSettings& file : files)
    hashes += folder ? remembered_hash(file.path, *folder / "files") : sha256_of_file(file.path);
  return sha256_hex(hashes);
}

void leave_out_images(LoadedDataset& loaded, const std::set<std::string>& images,
                      const std::set<TokenId>& ends) {
  std::vector<int64_t> kept;
  int64_t begin = 0, first_kept = 0;
  loaded.report = {};
  for (LoadedFile& file : loaded.files) {
    const int64_t end = begin + file.report.examples;
    for (int64_t i = begin; i < end; ++i) {
      if (images.contains(loaded.dataset->image(i)))
        count_out(loaded.dataset->example(i), ends, file.report);
      else
        kept.push_back(i);
    }
    file.report.longest = 0;
    for (; first_kept < std::ssize(kept); ++first_kept)
      file.report.longest = std::max(file.report.longest, loaded.dataset->tokens(kept[first_kept]));
    loaded.report.add(file.report);
    begin = end;
  }
  if (kept.empty()) throw DataError("no example is left: every image is one of those that can't be used");
  const std::shared_ptr<const Dataset> whole = std::move(loaded.dataset);
  loaded.dataset = std::make_unique<DatasetSelection>(whole, std::move(kept));
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
