#include <excitor/methods/target_modules.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

namespace excitor {
namespace {

constexpr const char* kAllLinears = "all-linear";
constexpr const char* kKnown = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";

std::string module_path(int64_t layer, Projection site) {
  return fmt::format("model.layers.{}.{}", layer, projection_name(site));
}

/// True when `holds` is true for one of the model's linears.
bool any_linear(const LlamaConfig& model, const std::function<bool(int64_t, Projection)>& holds) {
  for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    for (const Projection site : kAllProjections) {
      if (holds(layer, site)) return true;
    }
  }
  return false;
}

bool name_matches(const std::string& name, const std::string& module) {
  return module == name || module.ends_with("." + name);
}

/// LLaMA-Factory and others write the word into a list.
bool is_all_linears(const Json& given) {
  return given == kAllLinears ||
         (given.is_array() && std::find(given.begin(), given.end(), kAllLinears) != given.end());
}

std::vector<int64_t> read_layers(const Json& given, const std::string& path, Problems& problems) {
  if (given.is_null()) return {};
  if (given.is_number_integer()) return {given.get<int64_t>()};
  const bool is_list = given.is_array() && std::all_of(given.begin(), given.end(), [](const Json& layer) {
                         return layer.is_number_integer();
                       });
  if (is_list) return given.get<std::vector<int64_t>>();
  problems.add(path,
               fmt::format("found {}, expected a list of layers, counted from 0", describe_value(given)));
  return {};
}

}  // namespace

ModuleNames::ModuleNames(const Json& given, const std::string& path, Problems& problems) {
  if (given.is_null()) return;
  if (given.is_string()) {
    if (given.get<std::string>().empty()) return;
    try {
      expression_.emplace(given.get<std::string>());
    } catch (const ConfigError& error) {
      problems.add(path, error.what());
    }
    return;
  }
  const bool is_list = given.is_array() &&
                       std::all_of(given.begin(), given.end(), [](const Json& t) { return t.is_string(); });
  if (is_list) {
    names_ = given.get<std::vector<std::string>>();
  } else {
    problems.add(path, fmt::format("found {}, expected a list of names or a regular expression",
                                   describe_value(given)));
  }
}

bool ModuleNames::contains(const std::string& module) const {
  if (expression_) return expression_->matches_fully(module);
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& name) { return name_matches(name, module); });
}

bool ModuleNames::lists_path(const std::string& module) const {
  return std::find(names_.begin(), names_.end(), module) != names_.end();
}

std::vector<std::string> ModuleNames::unmatched(const LlamaConfig& model) const {
  std::vector<std::string> unmatched;
  const auto is_there = [&](const std::function<bool(const std::string&)>& matches) {
    return any_linear(model,
                      [&](int64_t layer, Projection site) { return matches(module_path(layer, site)); });
  };
  for (const std::string& name : names_) {
    if (!is_there([&](const std::string& module) { return name_matches(name, module); }))
      unmatched.push_back(name);
  }
  if (expression_ && !is_there([&](const std::string& module) { return expression_->matches_fully(module); }))
    unmatched.push_back(expression_->pattern());
  return unmatched;
}

void TargetSettings::describe(Describer& d) {
  d.field("target_modules", target_modules,
          "Linears with a bypass, as PEFT takes it: a list of names or of their ends (q_proj, k_proj, "
          "v_proj, o_proj, gate_proj, "
          "up_proj, down_proj), a regular expression for the whole name, or \"all-linear\".");
  d.field("exclude_modules", exclude_modules,
          "Linears without a bypass among those: a list of names or a regular expression. Default: none.");
  d.field(
      "layers_to_transform", layers_to_transform,
      "Layers with a bypass, counted from 0 (a list, or one); default: every layer. Only beside a list of "
      "target_modules, as in PEFT.");
}

TargetModules::TargetModules(const TargetSettings& settings, const std::string& path, Problems& problems)
    : all_linears_(is_all_linears(settings.target_modules)),
      targets_(all_linears_ ? Json() : settings.target_modules, path + ".target_modules", problems),
      excluded_(settings.exclude_modules, path + ".exclude_modules", problems),
      layers_(read_layers(settings.layers_to_transform, path + ".layers_to_transform", problems)) {
  if (settings.layers_to_transform.is_null() || !settings.target_modules.is_string()) return;
  problems.add(path + ".layers_to_transform",
               "goes with a list of target_modules, and here they are one string; PEFT would not load the "
               "adapter");
}

bool TargetModules::contains(int64_t layer, Projection site) const {
  const std::string module = module_path(layer, site);
  if (excluded_.contains(module)) return false;
  if (targets_.lists_path(module)) return true;
  const bool in_layer = layers_.empty() || std::find(layers_.begin(), layers_.end(), layer) != layers_.end();
  return in_layer && (all_linears_ || targets_.contains(module));
}

void TargetModules::check_names(const LlamaConfig& model, const std::string& path, Problems& problems) const {
  for (const std::string& name : targets_.unmatched(model)) {
    problems.add(path + ".target_modules",
                 fmt::format("the model has no linear \"{}\"; known: {}, all-linear, and whole names such as "
                             "model.layers.0.self_attn.q_proj",
                             name, kKnown));
  }
  for (const std::string& name : excluded_.unmatched(model)) {
    problems.add(path + ".exclude_modules",
                 fmt::format("the model has no linear \"{}\"; known: {}", name, kKnown));
  }
  for (const int64_t layer : layers_) {
    if (layer < 0 || layer >= model.num_hidden_layers) {
      problems.add(path + ".layers_to_transform", fmt::format("found {}, but the model's layers are 0 to {}",
                                                              layer, model.num_hidden_layers - 1));
    }
  }
}

void TargetModules::check_choice(const LlamaConfig& model, const std::string& path,
                                 Problems& problems) const {
  if (any_linear(model, [&](int64_t layer, Projection site) { return contains(layer, site); })) return;
  problems.add(
      path + ".target_modules",
      fmt::format("with exclude_modules and layers_to_transform, chooses no linear of the model; known: "
                  "model.layers.0.self_attn.q_proj …, or their ends {}",
                  kKnown));
}

ModulePattern::ModulePattern(const Json& given, const Range& range, const std::string& path,
                             Problems& problems) {
  if (given.is_null()) return;
  if (!given.is_object()) {
    problems.add(path,
                 fmt::format("found {}, expected an object like {{\"q_proj\": 16}}", describe_value(given)));
    return;
  }
  for (const auto& [key, value] : given.items()) {
    const double number = value.is_number() ? value.get<double>() : 0;
    const bool is_above = range.open_minimum ? number > range.minimum : number >= range.minimum;
    if (!value.is_number() || !is_above || number > range.maximum) {
      problems.add(path + "." + key, fmt::format("found {}, expected a number{}", describe_value(value),
                                                 range.open_minimum ? " above 0" : ""));
      continue;
    }
    try {
      entries_.push_back({key, Regex("(.*\\.)?(" + key + ")"), number});
    } catch (const ConfigError& error) {
      problems.add(path + "." + key, error.what());
    }
  }
}

std::optional<double> ModulePattern::find(int64_t layer, Projection site) const {
  const std::string module = module_path(layer, site);
  for (const Entry& entry : entries_) {
    if (entry.expression.matches_fully(module)) return entry.value;
  }
  return std::nullopt;
}

void ModulePattern::check(const LlamaConfig& model, const std::string& path, Problems& problems) const {
  for (const Entry& entry : entries_) {
    const bool matches = any_linear(model, [&](int64_t layer, Projection site) {
      return entry.expression.matches_fully(module_path(layer, site));
    });
    if (!matches) problems.add(path + "." + entry.key, "matches no linear of the model");
  }
}

}  // namespace excitor
