// What the commands that generate text have in common: the model and its adapter, the template, and sampling.
#pragma once

#include <string>

#include <excitor/generate/generate.h>
#include <excitor/tokenizer/prompt_template.h>

#include "session.h"

namespace CLI {
class App;
}

namespace excitor {

struct GenerationOptions {
  SessionOptions session;
  SamplingSettings sampling;
  std::string prompt_template;  ///< a name or a JSON file; empty: the adapter's, else plain
};

/// Adds the model, --adapter, --template, --dtype, --force and the sampling options.
void add_generation_options(CLI::App& command, GenerationOptions& options);

/// The template of a --template option: a name, or a JSON file with the object. Throws ConfigError.
PromptTemplate read_template_option(const std::string& name_or_file);

/// A model that answers in the way of a template.
struct Answerer {
  PromptTemplate prompt_template;
  SamplingSettings sampling;  ///< with the template's stop texts
  Generator generator;        ///< with the template's stop tokens
};

/// Refers to `session`. Throws ConfigError or CheckpointError: an unknown template, or one whose control
/// tokens the model lacks.
Answerer make_answerer(const GenerationOptions& options, const Session& session);

}  // namespace excitor
