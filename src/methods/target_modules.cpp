#include "target_modules.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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
      expression_.emplace(text, std::regex::ECMAScript);
    } catch (const std::regex_error&) {
      problems.add(path, fmt::format("\"{}\" is no regular expression", text));
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
  if (expression_) return std::regex_match(module, *expression_);
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

}  // namespace excitor
