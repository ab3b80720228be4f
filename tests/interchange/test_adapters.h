// Adapters with chosen settings and random values.
#pragma once

#include <string>

#include <excitor/methods/adapter_files.h>
#include <excitor/methods/registry.h>

#include "model/tiny_llama.h"

namespace excitor::test {

/// An adapter of the tiny model (3 layers, 4 heads of 4); settings are JSON. Every value is drawn anew, so
/// that none is zero.
inline LoadedAdapter random_adapter(const std::string& method, const std::string& settings,
                                    const LlamaConfig& model = tiny_config()) {
  LoadedAdapter adapter{.method = make_method(method)};
  Problems problems;
  read_settings(
      Json::parse(settings), [&](Describer& d) { adapter.method->describe(d); }, {}, problems);
  problems.throw_if_any(settings);
  std::vector<ParameterSpec> specs = adapter.method->parameters(model);
  for (ParameterSpec& spec : specs) spec.init = Init::normal(0.5, 0.2);
  adapter.parameters = initialise(specs, 1, at::TensorOptions(at::kFloat), nullptr);
  return adapter;
}

}  // namespace excitor::test
