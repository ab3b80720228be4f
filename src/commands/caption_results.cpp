#include "caption_results.h"

#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// An answer may end inside a character.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json row_of(const Json& image_id, const std::string& caption) {
  return {{"image_id", image_id}, {"caption", caption}};
}

}  // namespace

CaptionResults::CaptionResults(fs::path output, const Json& key)
    : output_(std::move(output)), partial_(output_.string() + ".partial") {
  if (fs::exists(output_)) {
    throw UsageError(
        fmt::format("--output: {} is there already, and nothing is overwritten; remove it or "
                    "name another place",
                    output_.string()));
  }
  if (fs::exists(partial_)) read_partial(key);
  std::string text = dump(key) + "\n";
  for (const auto& [id, caption] : captions_) text += dump(row_of(Json::parse(id), caption)) + "\n";
  write_file_atomically(partial_, text);
  stream_.open(partial_, std::ios::app);
}

void CaptionResults::read_partial(const Json& key) {
  std::ifstream file(partial_);
  std::string line;
  std::getline(file, line);
  if (Json::parse(line, nullptr, /*allow_exceptions=*/false) != key) {
    throw UsageError(
        fmt::format("{}: holds captions that were begun with another model, adapter, prompt or other images; "
                    "remove it, or "
                    "name another --output",
                    partial_.string()));
  }
  while (std::getline(file, line)) {
    const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (row.is_object() && row.contains("image_id") && row.contains("caption") && row["caption"].is_string())
      captions_[row["image_id"].dump()] = row["caption"].get<std::string>();
  }
  log::info(fmt::format("{}: {} captions are there already", partial_.string(), captions_.size()));
}

void CaptionResults::add(const Json& image_id, const std::string& caption) {
  const std::string line = dump(row_of(image_id, caption));
  captions_[image_id.dump()] = Json::parse(line)["caption"].get<std::string>();
  if (!(stream_ << line << std::endl))
    throw IoError(fmt::format("{}: cannot be written to (is the disk full?)", partial_.string()));
}

void CaptionResults::finish(const std::vector<Json>& image_ids) {
  Json results = Json::array();
  for (const Json& id : image_ids) results.push_back(row_of(id, captions_.at(id.dump())));
  write_file_atomically(output_, results.dump() + "\n");
  stream_.close();
  fs::remove(partial_);
}

}  // namespace excitor
