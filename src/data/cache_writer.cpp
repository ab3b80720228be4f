#include "cache_writer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/sha256.h>

#include "token_chunk.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// Of a chunk: 10 to 20 MB, written in a moment, and a hundred of them are few files.
constexpr size_t kChunkTokens = size_t{1} << 21;

}  // namespace

CacheWriter::CacheWriter(fs::path folder, const Json& key) : folder_(std::move(folder)) {
  take_up(key);
  remove_strangers();
  pending_sources_ = manifest_.sources;
}

void CacheWriter::take_up(const Json& key) {
  try {
    manifest_ = CacheManifest::read(folder_);
    if (manifest_.key != key) throw DataError("of another key");
    for (const CachedChunk& chunk : manifest_.chunks) CacheManifest::verify(folder_, chunk);
  } catch (const Error&) {
    manifest_ = {};  // absent or damaged: from the beginning
  }
  manifest_.key = key;
  manifest_.is_complete = false;
}

void CacheWriter::remove_strangers() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool is_chunk =
        std::ranges::any_of(manifest_.chunks, [&](const CachedChunk& chunk) { return chunk.file == name; });
    if (!is_chunk) fs::remove_all(entry.path(), ignored);
  }
}

void CacheWriter::append(const Tokenised& batch, int64_t sources) {
  pending_.append(batch);
  pending_sources_ = sources;
  if (pending_.examples.arrays().ids.size() >= kChunkTokens) flush();
}

void CacheWriter::flush() {
  const ExampleArrays arrays = pending_.examples.arrays();
  if (arrays.size() > 0) {
    CachedChunk chunk{.file = fmt::format("tokens-{:05}.bin", manifest_.chunks.size()),
                      .examples = arrays.size(),
                      .sha256 = {}};
    write_chunk(folder_ / chunk.file, arrays);
    chunk.sha256 = sha256_of_file(folder_ / chunk.file);
    manifest_.chunks.push_back(std::move(chunk));
  }
  manifest_.report.add(pending_.report);
  manifest_.sources = pending_sources_;
  pending_ = {};
  manifest_.write(folder_);
}

void CacheWriter::finish(const FileSummary& summary) {
  manifest_.is_complete = true;
  manifest_.origins_are_lines = summary.origins_are_lines;
  pending_.report.add(summary.report);
  flush();
}

}  // namespace excitor
