#include "refusals.h"

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

/// What to do with an adapter that another program can't run.
constexpr const char* kRunHere = "run it with `excitor generate MODEL --adapter DIR`";

}  // namespace

void require_lora_alone(const AdapterTerms& terms, const std::string& format) {
  const auto parts = terms.parts();
  if (parts == std::vector<std::string>{"LoRA"}) return;
  throw UsageError(fmt::format(
      "export --format {}, and this adapter (method {}) consists of {}; {}, or train method.type=lora",
      format, terms.method(), fmt::join(parts, ", "), kRunHere));
}

void require_mergeable(const AdapterTerms& terms) {
  const bool excitor = terms.has("Excitor");
  if (!excitor && !terms.has("prompts")) return;
  throw UsageError(fmt::format(
      "export --format hf: an adapter of method {} can't be merged: {}, which no change of the weights does; "
      "{}, "
      "or train method.type=lora, which can be merged",
      terms.method(),
      excitor ? "it adds to each attention key what a softmax over its prompts gives for that token"
              : "its prompts are attended in a softmax of their own",
      kRunHere));
}

}  // namespace excitor
