// excitor inspect weights: what a file of tensors holds.
#pragma once

#include <CLI/CLI.hpp>

namespace excitor {

void add_inspect_weights_command(CLI::App& inspect);

}  // namespace excitor
