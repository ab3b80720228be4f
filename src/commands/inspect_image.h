// excitor inspect image: what the vision tower is given, and what it answers.
#pragma once

#include <CLI/CLI.hpp>

namespace excitor {

void add_inspect_image(CLI::App& inspect);

}  // namespace excitor
