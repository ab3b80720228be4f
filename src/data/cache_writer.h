// Fills a folder of the token cache, chunk by chunk.
#pragma once

#include <cstdint>
#include <filesystem>

#include "cache_manifest.h"
#include "file_tokeniser.h"

namespace excitor {

/// Gathers batches into chunks and writes each as a file, and the manifest after it: whatever ends the
/// process, the next writer goes on behind the last whole chunk.
class CacheWriter {
 public:
  /// Takes up what a writer with the same key left in `folder`; whatever else lies there is removed.
  CacheWriter(std::filesystem::path folder, const Json& key);

  /// Rows of the data file that are done.
  int64_t sources() const { return manifest_.sources; }

  /// `sources`: rows done with this batch. Throws IoError.
  void append(const Tokenised& batch, int64_t sources);
  /// Writes the rest; the folder is complete then. Throws IoError.
  void finish(const FileSummary& summary);

 private:
  void take_up(const Json& key);
  void remove_strangers() const;
  void flush();

  std::filesystem::path folder_;
  CacheManifest manifest_;  ///< of the chunks written
  Tokenised pending_;
  int64_t pending_sources_ = 0;  ///< rows done with the batches pending
};

}  // namespace excitor
