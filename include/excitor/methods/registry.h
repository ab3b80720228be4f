// All methods, listed explicitly (static initialisers vanish from static libraries).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <excitor/methods/method.h>

namespace excitor {

/// `method.type` words, in the order of the documentation.
std::vector<std::string> method_names();

/// A method with its default settings. Throws ConfigError for an unknown name, with a suggestion.
std::unique_ptr<Method> make_method(std::string_view name);

/// The method of a `peft_type` ("EXCITOR", "LORA"). Throws CheckpointError that lists the readable ones.
std::unique_ptr<Method> make_method_of_peft_type(std::string_view peft_type);

}  // namespace excitor
