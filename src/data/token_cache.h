// The cache of tokenised files: one folder a file, named by a hash of all that its tokens depend on.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <excitor/data/dataset.h>

#include "file_tokeniser.h"
#include "row_errors.h"

namespace excitor {

/// A file's examples out of the cache.
struct CachedFile {
  std::shared_ptr<const Dataset> dataset;
  DatasetReport report;
  std::filesystem::path folder;
};

/// Folders are shared by runs and processes. One is filled under the name KEY.partial, chunk by chunk, and
/// renamed once it is complete; what an interrupted process left there is gone on with.
class TokenCache {
 public:
  explicit TokenCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The examples, if they are there and whole. A damaged folder is a warning.
  std::optional<CachedFile> find(const FileTask& task) const;

  /// Tokenises the file into the cache, waiting for another process that does the same. Nothing when the file
  /// has bad rows, which are added to `errors` then. Throws IoError when the cache can't be written; else as
  /// tokenise_file().
  std::optional<CachedFile> make(const FileTask& task, RowErrors& errors) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace excitor
