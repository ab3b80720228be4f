#include <excitor/run/shared_inputs.h>

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
  for (const char* name : {"tasks", "sample_images"}) key.push_back(resolved["eval"].at(name));
  return key.dump();
}

std::string base_figures_key(const Json& resolved) {
  // Rounding depends on what is computed together.
  Json computation = Json::array();
  for (const char* name : {"precision", "deterministic", "micro_batch_size", "micro_batch_tokens"})
    computation.push_back(resolved.at("train").value(name, Json()));
  return base_key(resolved) + data_key(resolved) + computation.dump();
}

}  // namespace excitor
