#include "token_cache.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/cache_folder.h>
#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>

#include "cache_writer.h"
#include "file_hash.h"
#include "folder_turn.h"
#include "mapped_dataset.h"
#include "source_reader.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// To be raised whenever the same settings give other tokens or another layout.
constexpr int kCacheVersion = 3;

const char* word_of(LongExamples choice) {
  switch (choice) {
    case LongExamples::truncate:
      return "truncate";
    case LongExamples::drop:
      return "drop";
    case LongExamples::fail:
      break;
  }
  return "fail";
}

/// Everything that a file's tokens depend on.
Json key_of(const FileTask& task, const fs::path& folder) {
  const bool has_template = uses_template(task.file.format);
  const std::string extension = fs::path(task.file.path).extension().string();
  Json key = {{"version", kCacheVersion},
              {"data_sha256", remembered_hash(task.file.path, folder / "files")},
              {"format", task.file.format},
              {"holds_rows", has_template || extension == ".json" || extension == ".jsonl"},
              {"tokenizer", task.tokenizer.fingerprint()},
              {"bos", task.tokenizer.bos()},
              {"eos", task.tokenizer.eos()},
              {"max_seq_length", task.settings.max_seq_length},
              {"on_long_example", word_of(task.settings.on_long_example)}};
  if (has_template) {
    key["prompt_template"] = task.prompt_template.json();
    key["train_on_inputs"] = task.settings.train_on_inputs;
  }
  if (images_of_format(task.file.format) == ImagesOfFormat::all)
    key["caption_instruction"] = task.settings.caption_instruction;
  if (has_splits(task.file.format)) key["split"] = task.file.split;
  if (task.file.format.starts_with("scienceqa")) {
    key["splits_sha256"] = sha256_of_file(fs::path(task.file.path).parent_path() / "pid_splits.json");
    // Which names the questions' images have depends on how their folder is laid out.
    key["images"] = task.file.images;
    key["has_split_folder"] = fs::is_directory(fs::path(task.file.images) / task.file.split);
  }
  return key;
}

std::string name_of(const Json& key) {
  return sha256_hex(key.dump()).substr(0, 32);
}

/// The complete folder of that name; nothing when it is absent, or damaged (then `damage` says how).
std::optional<CachedFile> open_folder(const fs::path& folder, const DataFileSettings& data_file,
                                      std::string& damage) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) return std::nullopt;
  try {
    const CacheManifest manifest = CacheManifest::read(folder);
    if (!manifest.is_complete) throw DataError(folder.string() + ": it is not complete");
    auto dataset = std::make_shared<MappedDataset>(folder, manifest, data_file);
    if (dataset->size() != manifest.report.examples)
      throw DataError(fmt::format("{}: {} examples, expected {}", folder.string(), dataset->size(),
                                  manifest.report.examples));
    note_cache_use(folder);
    return CachedFile{.dataset = std::move(dataset), .report = manifest.report, .folder = folder};
  } catch (const Error& error) {
    damage = error.what();
    return std::nullopt;
  }
}

void remove_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) throw IoError(fmt::format("{}: cannot remove: {}", folder.string(), error.message()));
}

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error)
    throw IoError(fmt::format("{}: cannot rename it to {}: {}", from.string(), to.string(), error.message()));
}

/// Tokenises into `folder`, going on behind what is there; false when the file has bad rows.
bool fill(const fs::path& folder, const FileTask& task, const Json& key, RowErrors& errors) {
  CacheWriter writer(folder, key);
  if (writer.sources() > 0)
    log::info(
        fmt::format("{}: tokenising goes on behind its first {} rows", task.file.path, writer.sources()));
  RowErrors own_errors;
  const FileSummary summary =
      tokenise_file(task, writer.sources(), own_errors, [&](const Tokenised& batch, int64_t sources) {
        if (own_errors.empty()) writer.append(batch, sources);
      });
  errors.append(own_errors);
  if (!own_errors.empty()) return false;
  writer.finish(summary);
  return true;
}

}  // namespace

std::optional<CachedFile> TokenCache::find(const FileTask& task) const {
  std::error_code ignored;
  if (!fs::exists(folder_, ignored)) return std::nullopt;
  std::string damage;
  auto found = open_folder(folder_ / name_of(key_of(task, folder_)), task.file, damage);
  if (!damage.empty())
    log::warning("the cache of tokens is damaged: " + damage + "; the data is tokenised again");
  return found;
}

std::optional<CachedFile> TokenCache::make(const FileTask& task, RowErrors& errors) const {
  const Json key = key_of(task, folder_);
  const fs::path whole = folder_ / name_of(key);
  const fs::path partial = whole.string() + ".partial";
  const FolderTurn turn(partial);
  std::string damage;
  if (auto made = open_folder(whole, task.file, damage)) {  // by another process meanwhile
    remove_folder(partial);
    return made;
  }
  if (!damage.empty()) remove_folder(whole);
  try {
    if (!fill(partial, task, key, errors)) {
      remove_folder(partial);
      return std::nullopt;
    }
  } catch (const Interrupted&) {
    throw;  // the next start goes on with what is there
  } catch (const IoError&) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);  // a full disk stays full otherwise
    throw;
  }
  if (key_of(task, folder_) != key) {
    remove_folder(partial);
    throw DataError(task.file.path + ": the file changed while it was read; start again once it is complete");
  }
  rename_folder(partial, whole);
  auto made = open_folder(whole, task.file, damage);
  if (!made) throw IoError("the cache of tokens can't be read back: " + damage);
  return made;
}

}  // namespace excitor
