#include "shared_inputs.h"

#include <nlohmann/json.hpp>

namespace excitor {

std::string base_key(const Json& resolved) {
  Json key = {resolved.at("model"), resolved.at("distributed").value("shard_base", false)};
  if (resolved["model"].contains("init")) key.push_back(resolved.at("train").at("seed"));  // of its weights
  return key.dump();
}

std::string data_key(const Json& resolved) {
  Json key = {resolved.at("model"), resolved.at("data")};
  if (resolved.contains("vision")) key.push_back(resolved["vision"]);
  if (resolved["eval"].contains("forgetting")) key.push_back(resolved["eval"]["forgetting"]);
  return key.dump();
}

}  // namespace excitor
