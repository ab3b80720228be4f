#include <excitor/methods/target_modules.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

namespace excitor {
namespace {

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

constexpr const char* kKnown = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";

}  // namespace

TargetModules::TargetModules(const Json& given, const std::string& path, Problems& problems) {
  if (given.is_string()) {
    const std::string text = given.get<std::string>();
    all_linears_ = text == "all-linear";
    if (all_linears_) return;
    try {
      expression_.emplace(text);
    } catch (const ConfigError& error) {
      problems.add(path, error.what());
    }
    return;
  }
  const bool is_list = given.is_array() &&
                       std::all_of(given.begin(), given.end(), [](const Json& t) { return t.is_string(); });
  if (is_list) {
    names_ = given.get<std::vector<std::string>>();
    // LLaMA-Factory and others write the word into the list.
    all_linears_ = std::find(names_.begin(), names_.end(), "all-linear") != names_.end();
  } else {
    problems.add(path,
                 fmt::format("found {}, expected a list of names, a regular expression, or \"all-linear\"",
                             describe_value(given)));
  }
}

bool TargetModules::name_matches(const std::string& target, const std::string& module) {
  return module == target || module.ends_with("." + target);
}

bool TargetModules::contains(int64_t layer, Projection site) const {
  if (all_linears_) return true;
  const std::string module = module_path(layer, site);
  if (expression_) return expression_->matches_fully(module);
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& name) { return name_matches(name, module); });
}

void TargetModules::check(const LlamaConfig& model, const std::string& path, Problems& problems) const {
  if (all_linears_) return;
  for (const std::string& name : names_) {
    const bool found = any_linear(
        model, [&](int64_t layer, Projection site) { return name_matches(name, module_path(layer, site)); });
    if (!found)
      problems.add(path, fmt::format("the model has no linear \"{}\"; known: {}, all-linear", name, kKnown));
  }
  if (!names_.empty() && !expression_) return;
  if (!any_linear(model, [&](int64_t layer, Projection site) { return contains(layer, site); })) {
    problems.add(
        path,
        fmt::format(
            "chooses no linear of the model; known: model.layers.0.self_attn.q_proj …, or their ends {}",
            kKnown));
  }
}

ModulePattern::ModulePattern(const Json& given, const std::string& path, Problems& problems) {
  if (given.is_null()) return;
  if (!given.is_object()) {
    problems.add(path,
                 fmt::format("found {}, expected an object like {{\"q_proj\": 16}}", describe_value(given)));
    return;
  }
  for (const auto& [key, value] : given.items()) {
    if (!value.is_number() || value.get<double>() <= 0) {
      problems.add(path + "." + key,
                   fmt::format("found {}, expected a number above 0", describe_value(value)));
      continue;
    }
    try {
      entries_.push_back({key, Regex("(.*\\.)?(" + key + ")"), value.get<double>()});
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
