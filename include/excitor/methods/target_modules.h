// Which linears a method adapts, by PEFT's rules.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <excitor/model/bypass.h>
#include <excitor/model/llama_config.h>
#include <excitor/util/regex.h>
#include <excitor/util/settings.h>

namespace excitor {

inline constexpr Projection kAllProjections[] = {Projection::q,   Projection::k,    Projection::v,
                                                 Projection::o,   Projection::gate, Projection::up,
                                                 Projection::down};

/// A list of names, each a whole module path or the end of one behind a dot ("q_proj", "mlp.up_proj",
/// "model.layers.0.self_attn.q_proj"), or one string: a regular expression for the whole path, or
/// "all-linear".
class TargetModules {
 public:
  /// `given` as it stands in the configuration; what is wrong with it goes to `problems` under `path`.
  TargetModules(const Json& given, const std::string& path, Problems& problems);

  bool contains(int64_t layer, Projection site) const;
  /// Adds names that no linear of the model has, and an empty choice.
  void check(const LlamaConfig& model, const std::string& path, Problems& problems) const;

 private:
  static bool name_matches(const std::string& target, const std::string& module);

  std::vector<std::string> names_;
  std::optional<Regex> expression_;
  bool all_linears_ = false;
};

/// LoRA's rank_pattern and alpha_pattern: numbers for some linears that take the place of the common one. A
/// key is a regular expression for the end of a module's path, behind a dot ("q_proj",
/// "layers.0.self_attn.q_proj", "layers\\.[0-3]\\..*"); the first that matches holds, as in PEFT.
class ModulePattern {
 public:
  /// `given`: an object of positive numbers. What is wrong with it goes to `problems` under `path`.
  ModulePattern(const Json& given, const std::string& path, Problems& problems);

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
