// excitor inspect tokens: ids and pieces of a text, or of many from a file.
#pragma once

namespace CLI {
class App;
}

namespace excitor {

/// Adds the subcommand `tokens` to `inspect`.
void add_inspect_tokens(CLI::App& inspect);

}  // namespace excitor
