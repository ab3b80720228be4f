// One factory a method; registry.cpp lists them.
#pragma once

#include <memory>

#include <excitor/methods/method.h>

namespace excitor {

std::unique_ptr<Method> make_excitor();
std::unique_ptr<Method> make_adapter();
std::unique_ptr<Method> make_adapter_v2();
std::unique_ptr<Method> make_lora();
std::unique_ptr<Method> make_full();

}  // namespace excitor
