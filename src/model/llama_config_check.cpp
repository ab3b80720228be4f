// What a LLaMA's shape must satisfy, and its rope section resolved from either spelling.
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/model/llama_config.h>
#include <excitor/util/error.h>

namespace excitor {
namespace {

/// The rope dictionary that counts: rope_scaling when it says something, else rope_parameters (transformers 5
/// reads so).
Json rope_section(const LlamaConfig& config) {
  if (config.rope_scaling.is_object() && !config.rope_scaling.empty()) return config.rope_scaling;
  if (config.rope_parameters.is_object()) return config.rope_parameters;
  return Json::object();
}

/// Reads numbers of the rope section and remembers what is wrong with them.
class RopeReader {
 public:
  RopeReader(const Json& section, std::string path, Problems& problems)
      : section_(section), path_(std::move(path)), problems_(problems) {}

  double required(const char* key, double minimum) {
    if (!section_.contains(key) || section_[key].is_null()) {
      problems_.add(path_ + "." + key, "is missing; this rope type needs it");
      return minimum;
    }
    return optional(key, minimum, minimum);
  }

  double optional(const char* key, double fallback, double minimum) {
    if (!section_.contains(key) || section_[key].is_null()) return fallback;
    const Json& value = section_[key];
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < minimum) {
      problems_.add(path_ + "." + key,
                    fmt::format("found {}, expected a number >= {}", describe_value(value), minimum));
      return fallback;
    }
    return value.get<double>();
  }

  std::string type() {
    for (const char* key : {"rope_type", "type"}) {
      if (section_.contains(key) && section_[key].is_string()) return section_[key].get<std::string>();
    }
    return "default";
  }

 private:
  const Json& section_;
  std::string path_;
  Problems& problems_;
};

double yarn_attention_factor(const RopeConfig& rope, RopeReader& reader) {
  const auto factor = [&](double m) {
    return rope.factor <= 1 ? 1.0 : 0.1 * m * std::log(rope.factor) + 1.0;
  };
  const double mscale = reader.optional("mscale", 0, 0),
               mscale_all_dim = reader.optional("mscale_all_dim", 0, 0);
  const double standard =
      mscale != 0 && mscale_all_dim != 0 ? factor(mscale) / factor(mscale_all_dim) : factor(1);
  return reader.optional("attention_factor", standard, 0);
}

RopeConfig read_rope(const LlamaConfig& config, const std::string& path, Problems& problems) {
  const Json section = rope_section(config);
  RopeReader reader(section, path, problems);
  RopeConfig rope;
  rope.max_position_embeddings = config.max_position_embeddings;
  rope.theta = reader.optional("rope_theta", config.rope_theta, 1e-6);
  const std::string type = reader.type();
  if (type == "default") return rope;
  if (type != "linear" && type != "dynamic" && type != "llama3" && type != "yarn") {
    problems.add(
        path,
        fmt::format("the rope type \"{}\" is not supported; known: default, linear, dynamic, llama3, yarn",
                    type));
    return rope;
  }
  rope.factor = reader.required("factor", 1);
  rope.original_max_position_embeddings = reader.optional(
      "original_max_position_embeddings", static_cast<double>(config.max_position_embeddings), 1);
  if (type == "linear") rope.type = RopeConfig::Type::linear;
  if (type == "dynamic") rope.type = RopeConfig::Type::dynamic;
  if (type == "llama3") {
    rope.type = RopeConfig::Type::llama3;
    rope.low_freq_factor = reader.required("low_freq_factor", 1e-9);
    rope.high_freq_factor = reader.required("high_freq_factor", 1e-9);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      problems.add(path, "high_freq_factor must be above low_freq_factor");
  }
  if (type == "yarn") {
    rope.type = RopeConfig::Type::yarn;
    rope.beta_fast = reader.optional("beta_fast", 32, 1e-9);
    rope.beta_slow = reader.optional("beta_slow", 1, 1e-9);
    rope.attention_factor = yarn_attention_factor(rope, reader);
    if (section.contains("truncate") && section["truncate"].is_boolean())
      rope.truncate = section["truncate"].get<bool>();
  }
  return rope;
}

void check_heads(const LlamaConfig& c, const std::string& path, Problems& problems) {
  if (!c.head_dim && c.hidden_size % c.num_attention_heads != 0) {
    problems.add(path + "num_attention_heads",
                 fmt::format("hidden_size {} is not a multiple of {} heads; set head_dim", c.hidden_size,
                             c.num_attention_heads));
  }
  if (c.num_attention_heads % c.key_heads() != 0) {
    problems.add(path + "num_key_value_heads",
                 fmt::format("{} query heads can't be shared out among {} key/value heads",
                             c.num_attention_heads, c.key_heads()));
  }
  if (c.head_width() % 2 != 0 || c.head_width() < 2) {
    problems.add(path + "head_dim",
                 fmt::format("a head is {} wide; rotary embedding needs an even width", c.head_width()));
  }
}

bool is_token_id(const Json& value, int64_t vocab_size) {
  return value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() < vocab_size;
}

void check_token_ids(const LlamaConfig& c, const std::string& path, Problems& problems) {
  bool fine =
      c.eos_token_id.is_null() || is_token_id(c.eos_token_id, c.vocab_size) || c.eos_token_id.is_array();
  if (c.eos_token_id.is_array()) {
    for (const Json& id : c.eos_token_id) fine = fine && is_token_id(id, c.vocab_size);
  }
  if (!fine) {
    problems.add(path + "eos_token_id",
                 fmt::format("found {}, expected an id below vocab_size {} or a list of such ids",
                             describe_value(c.eos_token_id), c.vocab_size));
  }
}

/// No dimension of a LLaMA comes near this; products of two such stay far from overflow.
constexpr int64_t kLargestDimension = int64_t{1} << 24;
constexpr int64_t kMostLayers = 10'000;

void check_sizes(const LlamaConfig& c, const std::string& path, Problems& problems) {
  const std::pair<const char*, int64_t> sizes[] = {{"vocab_size", c.vocab_size},
                                                   {"hidden_size", c.hidden_size},
                                                   {"intermediate_size", c.intermediate_size},
                                                   {"num_attention_heads", c.num_attention_heads},
                                                   {"num_key_value_heads", c.key_heads()},
                                                   {"head_dim", c.head_width()}};
  if (c.num_hidden_layers > kMostLayers) {
    problems.add(path + "num_hidden_layers",
                 fmt::format("found {}, expected at most {}", c.num_hidden_layers, kMostLayers));
  }
  if (c.max_position_embeddings > (int64_t{1} << 31)) {
    problems.add(path + "max_position_embeddings",
                 fmt::format("found {}, expected at most {}", c.max_position_embeddings, int64_t{1} << 31));
  }
  for (const auto& [name, value] : sizes) {
    if (value < 1 || value > kLargestDimension) {
      problems.add(path + name, fmt::format("found {}, expected 1 to {}", value, kLargestDimension));
    }
  }
}

}  // namespace

RopeConfig LlamaConfig::rope() const {
  Problems problems;
  RopeConfig rope = read_rope(*this, "rope", problems);
  problems.throw_if_any("rope settings of the model");
  return rope;
}

void LlamaConfig::check(const std::string& path, Problems& problems) const {
  const std::string prefix = path.empty() ? "" : path + ".";
  if (num_attention_heads < 1 || hidden_size < 1 || key_heads() < 1)
    return;  // reported by the reader already
  check_sizes(*this, prefix, problems);
  for (const auto& [name, section] :
       {std::pair{"rope_scaling", &rope_scaling}, std::pair{"rope_parameters", &rope_parameters}}) {
    if (!section->is_null() && !section->is_object()) {
      problems.add(prefix + name,
                   fmt::format("found {}, expected an object or null", describe_value(*section)));
    }
  }
  neutral.check(prefix, problems);
  check_heads(*this, prefix, problems);
  check_token_ids(*this, prefix, problems);
  if (hidden_act != "silu") {
    problems.add(
        prefix + "hidden_act",
        fmt::format("found \"{}\"; LLaMA's feed-forward block is computed with silu only", hidden_act));
  }
  read_rope(*this, prefix + "rope", problems);
}

}  // namespace excitor
