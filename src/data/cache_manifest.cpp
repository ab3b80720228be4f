#include "cache_manifest.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/sha256.h>

namespace excitor {
namespace {

constexpr const char* kFileName = "manifest.json";

}  // namespace

void CacheManifest::write(const std::filesystem::path& folder) const {
  Json list = Json::array();
  for (const CachedChunk& chunk : chunks)
    list.push_back({{"file", chunk.file}, {"examples", chunk.examples}, {"sha256", chunk.sha256}});
  const Json json = {{"key", key},
                     {"complete", is_complete},
                     {"sources", sources},
                     {"origins", origins_are_lines ? "lines" : "rows"},
                     {"report", report.json()},
                     {"chunks", std::move(list)}};
  write_file_atomically(folder / kFileName, json.dump(2) + "\n");
}

CacheManifest CacheManifest::read(const std::filesystem::path& folder) {
  const Json json = read_json_file(folder / kFileName);
  try {
    CacheManifest manifest{.key = json.at("key"),
                           .chunks = {},
                           .sources = json.at("sources").get<int64_t>(),
                           .report = DatasetReport::from_json(json.at("report")),
                           .origins_are_lines = json.at("origins").get<std::string>() == "lines",
                           .is_complete = json.at("complete").get<bool>()};
    for (const Json& chunk : json.at("chunks")) {
      manifest.chunks.push_back({.file = chunk.at("file").get<std::string>(),
                                 .examples = chunk.at("examples").get<int64_t>(),
                                 .sha256 = chunk.at("sha256").get<std::string>()});
    }
    return manifest;
  } catch (const Json::exception& error) {
    throw DataError(fmt::format("{}: damaged: {}", (folder / kFileName).string(), error.what()));
  }
}

void CacheManifest::verify(const std::filesystem::path& folder, const CachedChunk& chunk) {
  const std::filesystem::path path = folder / chunk.file;
  if (sha256_of_file(path) != chunk.sha256)
    throw DataError(fmt::format("{}: its bytes are not those that were written", path.string()));
}

}  // namespace excitor
