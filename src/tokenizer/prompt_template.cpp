#include <excitor/tokenizer/prompt_template.h>

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <excitor/util/error.h>
#include <excitor/util/settings.h>

namespace excitor {
namespace {

using Render = std::string (*)(const Instruction&);

// Stanford Alpaca's two prompts, character by character (they are LLaMA-Adapter's too).
std::string render_alpaca(const Instruction& i) {
  if (i.input.empty()) {
    return fmt::format(
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request."
        "\n\n### Instruction:\n{}\n\n### Response:",
        i.instruction);
  }
  return fmt::format(
      "Below is an instruction that describes a task, paired with an input that provides further context. "
      "Write a response that appropriately completes the request."
      "\n\n### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:",
      i.instruction, i.input);
}

std::string render_plain(const Instruction& i) {
  return i.input.empty() ? i.instruction : i.instruction + "\n" + i.input;
}

struct NamedTemplate {
  std::string_view name;
  Render render;
};

constexpr NamedTemplate kTemplates[] = {{"alpaca", render_alpaca}, {"plain", render_plain}};

const NamedTemplate* find_template(std::string_view name) {
  const auto* found = std::ranges::find(kTemplates, name, &NamedTemplate::name);
  return found == std::end(kTemplates) ? nullptr : found;
}

}  // namespace

PromptTemplate::PromptTemplate(std::string_view name) : name_(name) {
  if (find_template(name)) return;
  const std::string meant = nearest_name(name_, known_names());
  throw ConfigError(fmt::format("there is no prompt template \"{}\"{}; known: {}", name,
                                meant.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", meant),
                                fmt::join(known_names(), ", ")));
}

std::string PromptTemplate::render(const Instruction& instruction) const {
  return find_template(name_)->render(instruction);
}

std::vector<std::string> PromptTemplate::known_names() {
  std::vector<std::string> names;
  for (const NamedTemplate& t : kTemplates) names.emplace_back(t.name);
  return names;
}

}  // namespace excitor
