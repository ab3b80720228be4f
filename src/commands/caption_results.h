// Results in COCO's format that are written bit by bit, so that an interrupted command goes on.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

namespace excitor {

/// The captions so far stand in OUTPUT.partial, a line each behind one with all that they depend on; finish()
/// turns them into OUTPUT, [{"image_id", "caption"}].
class CaptionResults {
 public:
  /// Goes on with what stands in OUTPUT.partial if it was made with the same `key`; a broken last line is
  /// dropped. Throws UsageError where OUTPUT is there, or a partial file of another key; IoError.
  CaptionResults(std::filesystem::path output, const Json& key);

  bool has(const Json& image_id) const { return captions_.contains(image_id.dump()); }
  size_t size() const { return captions_.size(); }
  /// Throws IoError.
  void add(const Json& image_id, const std::string& caption);
  /// Writes OUTPUT, in the order of `image_ids`, and removes OUTPUT.partial. Throws IoError.
  void finish(const std::vector<Json>& image_ids);

 private:
  void read_partial(const Json& key);

  std::filesystem::path output_, partial_;
  std::map<std::string, std::string> captions_;  ///< by the id as JSON writes it
  std::ofstream stream_;
};

}  // namespace excitor
