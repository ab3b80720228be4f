// What a folder of the token cache holds, and how far it has been filled.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/data/dataset_report.h>

namespace excitor {

/// One chunk file of a cache folder.
struct CachedChunk {
  std::string file;  ///< its name in the folder
  int64_t examples = 0;
  std::string sha256;
};

struct CacheManifest {
  Json key;  ///< all that the tokens depend on
  std::vector<CachedChunk> chunks;
  int64_t sources = 0;   ///< rows (or documents) of the data file that are done
  DatasetReport report;  ///< of tokenising; once complete, of reading too
  bool origins_are_lines = true;
  bool is_complete = false;

  /// Throws IoError.
  void write(const std::filesystem::path& folder) const;
  /// Throws IoError when there is none, DataError or ConfigError when it is damaged.
  static CacheManifest read(const std::filesystem::path& folder);
  /// Throws DataError when the bytes of a chunk are not those that were written, IoError when it is not
  /// there.
  static void verify(const std::filesystem::path& folder, const CachedChunk& chunk);
};

}  // namespace excitor
