#include <excitor/methods/registry.h>

#include <fmt/format.h>

#include <excitor/util/error.h>

#include "methods.h"

namespace excitor {
namespace {

using Factory = std::unique_ptr<Method> (*)();
constexpr Factory kFactories[] = {make_excitor, make_adapter, make_adapter_v2, make_lora, make_full};

}  // namespace

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Factory make : kFactories) names.emplace_back(make()->name());
  return names;
}

std::unique_ptr<Method> make_method(std::string_view name) {
  for (const Factory make : kFactories) {
    auto method = make();
    if (method->name() == name) return method;
  }
  const std::string near = nearest_name(std::string(name), method_names());
  throw ConfigError(fmt::format("method.type: found \"{}\", expected one of {}{}", name,
                                fmt::join(method_names(), ", "),
                                near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

std::unique_ptr<Method> make_method_of_peft_type(std::string_view peft_type) {
  std::vector<std::string> readable;
  for (const Factory make : kFactories) {
    auto method = make();
    if (method->trains_whole_model()) continue;
    for (const std::string_view type : method->readable_peft_types()) {
      if (type == peft_type) return method;
      readable.emplace_back(type);
    }
  }
  throw CheckpointError(
      fmt::format("peft_type \"{}\" can't be read; readable: {}", peft_type, fmt::join(readable, ", ")));
}

}  // namespace excitor
