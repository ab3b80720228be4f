// How an instruction becomes the text of a prompt.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace excitor {

/// One instruction: what is asked, and the text it is about (may be empty).
struct Instruction {
  std::string instruction;
  std::string input;
};

/// A named template. `alpaca` (Stanford Alpaca's two prompts) and `plain` (the text itself, nothing
/// added; an input follows on the next line).
class PromptTemplate {
 public:
  /// Throws ConfigError for an unknown name (with the known ones).
  explicit PromptTemplate(std::string_view name);

  const std::string& name() const { return name_; }
  /// The prompt that the answer is appended to without a space.
  std::string render(const Instruction& instruction) const;

  static std::vector<std::string> known_names();

 private:
  std::string name_;
};

}  // namespace excitor
