#include <excitor/vision/clip_config.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// No tower comes near these; products of them stay far from overflow.
constexpr Range kWidth{.minimum = 1, .maximum = 1 << 20};
constexpr Range kPixels{.minimum = 1, .maximum = 1 << 14};
constexpr Range kLayers{.minimum = 1, .maximum = 10'000};

/// The tower's own section: the whole file, or `vision_config` of a CLIP with its text side.
const Json& vision_section(const Json& json, const std::string& name) {
  const auto type = json.find("model_type");
  const std::string word = type != json.end() && type->is_string() ? type->get<std::string>() : "";
  const auto nested = json.find("vision_config");
  if (word == "clip" || (word.empty() && nested != json.end())) {
    if (nested != json.end() && nested->is_object()) return *nested;
    throw ConfigError(fmt::format("{}: vision_config: expected an object, found {}", name,
                                  nested == json.end() ? "nothing" : describe_value(*nested)));
  }
  if (word == "clip_vision_model" || type == json.end()) return json;
  throw ConfigError(
      fmt::format("{}: model_type: found {}, expected \"clip\" or \"clip_vision_model\": only CLIP's vision "
                  "towers can be "
                  "loaded",
                  name, describe_value(*type)));
}

Json known_keys(const Json& all) {
  ClipVisionConfig defaults;
  Json known = Json::object();
  for (const auto& path : list_paths([&](Describer& d) { defaults.describe(d); })) {
    if (all.contains(path) && !all[path].is_null()) known[path] = all[path];
  }
  return known;
}

}  // namespace

void ClipVisionConfig::describe(Describer& d) {
  d.field("hidden_size", hidden_size, "Width of the residual stream.", kWidth);
  d.field("intermediate_size", intermediate_size, "Width of the feed-forward block.", kWidth);
  d.field("num_hidden_layers", num_hidden_layers, "Blocks.", kLayers);
  d.field("num_attention_heads", num_attention_heads, "Heads.", kWidth);
  d.field("num_channels", num_channels, "Colours: 3.", {.minimum = 3, .maximum = 3});
  d.field("image_size", image_size, "Side of an image, in pixels.", kPixels);
  d.field("patch_size", patch_size, "Side of a patch, in pixels.", kPixels);
  d.field("hidden_act", hidden_act, "Activation of the feed-forward block: \"quick_gelu\" or \"gelu\".");
  d.field("layer_norm_eps", layer_norm_eps, "Epsilon of the layer norms.", kPositive);
}

void ClipVisionConfig::check(Problems& problems) const {
  if (hidden_size % num_attention_heads != 0) {
    problems.add("num_attention_heads", fmt::format("hidden_size {} is not a multiple of {} heads",
                                                    hidden_size, num_attention_heads));
  }
  if (patch_size > image_size) {
    problems.add("patch_size",
                 fmt::format("a patch of {} pixels is larger than an image of {}", patch_size, image_size));
  }
  if (hidden_act != "quick_gelu" && hidden_act != "gelu") {
    problems.add("hidden_act", fmt::format("found \"{}\", expected \"quick_gelu\" or \"gelu\"", hidden_act));
  }
}

ClipVisionConfig read_clip_config(const fs::path& folder) {
  if (std::error_code error; !fs::is_directory(folder, error)) {
    throw ConfigError(fmt::format("{}: {}", folder.string(),
                                  fs::exists(folder, error) ? "is a file; give the vision tower's folder"
                                                            : "no such folder of a vision tower"));
  }
  const fs::path path = folder / "config.json";
  if (!fs::exists(path))
    throw ConfigError(fmt::format("{}: has no config.json, so it is no vision tower", folder.string()));
  const Json json = read_json_file(path);
  if (!json.is_object())
    throw ConfigError(fmt::format("{}: found {}, expected an object", path.string(), describe_value(json)));
  ClipVisionConfig config;
  Problems problems;
  read_settings(
      known_keys(vision_section(json, path.string())), [&](Describer& d) { config.describe(d); }, {},
      problems);
  if (problems.empty()) config.check(problems);
  problems.throw_if_any(path.string());
  return config;
}

}  // namespace excitor
