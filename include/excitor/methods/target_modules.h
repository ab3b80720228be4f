// Which linears a method adapts, by PEFT's rules.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/model/bypass.h>
#include <excitor/model/llama_config.h>
#include <excitor/util/describe.h>
#include <excitor/util/regex.h>
#include <excitor/util/settings.h>

namespace excitor {

inline constexpr Projection kAllProjections[] = {Projection::q,   Projection::k,    Projection::v,
                                                 Projection::o,   Projection::gate, Projection::up,
                                                 Projection::down};

/// Modules by name: a list of names, each a whole module path or the end of one behind a dot ("q_proj",
/// "mlp.up_proj", "model.layers.0.self_attn.q_proj"), or one string: a regular expression for the whole path.
class ModuleNames {
 public:
  /// `given` as it stands in the configuration; what is wrong with it goes to `problems` under `path`.
  ModuleNames(const Json& given, const std::string& path, Problems& problems);

  bool contains(const std::string& module) const;
  /// Whether the list holds the whole path.
  bool lists_path(const std::string& module) const;
  /// The listed names, or the expression, of which none of the model's linears is.
  std::vector<std::string> unmatched(const LlamaConfig& model) const;

 private:
  std::vector<std::string> names_;
  std::optional<Regex> expression_;
};

/// The settings that choose linears, named as PEFT names them.
struct TargetSettings {
  Json target_modules = {"q_proj", "v_proj"};  ///< as ModuleNames, or the word "all-linear"
  Json exclude_modules;                        ///< as ModuleNames; null: none
  Json layers_to_transform;                    ///< a list of layers, or one; null or empty: every layer

  void describe(Describer& d);
};

/// The linears that TargetSettings choose. A linear that is listed by its whole path is chosen whatever its
/// layer, as PEFT does.
class TargetModules {
 public:
  /// What is wrong with `settings` goes to `problems` under `path` ("method").
  TargetModules(const TargetSettings& settings, const std::string& path, Problems& problems);

  bool contains(int64_t layer, Projection site) const;
  /// Adds names that no linear of the model has, and layers that it does not have.
  void check_names(const LlamaConfig& model, const std::string& path, Problems& problems) const;
  /// Adds an empty choice.
  void check_choice(const LlamaConfig& model, const std::string& path, Problems& problems) const;

 private:
  bool all_linears_ = false;
  ModuleNames targets_;
  ModuleNames excluded_;
  std::vector<int64_t> layers_;
};

/// LoRA's rank_pattern and alpha_pattern: numbers for some linears that take the place of the common one. A
/// key is a regular expression for the end of a module's path, behind a dot ("q_proj",
/// "layers.0.self_attn.q_proj", "layers\\.[0-3]\\..*"); the first that matches holds, as in PEFT.
class ModulePattern {
 public:
  /// `given`: an object of numbers within `range`. What is wrong with it goes to `problems` under `path`.
  ModulePattern(const Json& given, const Range& range, const std::string& path, Problems& problems);

  std::optional<double> find(int64_t layer, Projection site) const;
  /// Adds keys that match no linear of the model.
  void check(const LlamaConfig& model, const std::string& path, Problems& problems) const;

 private:
  struct Entry {
    std::string key;
    Regex expression;
    double value;
  };
  std::vector<Entry> entries_;
};

}  // namespace excitor
