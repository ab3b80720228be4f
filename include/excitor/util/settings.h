// The visitors of describe.h as functions: JSON to struct, struct to JSON, JSON Schema, reference page.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <excitor/util/describe.h>
#include <excitor/util/json.h>

namespace excitor {

/// What is wrong with a configuration, gathered so that all of it is reported at once.
class Problems {
 public:
  /// `path` is dotted ("train.learning_rate", "data.train[0].path"); empty for the whole file.
  void add(const std::string& path, const std::string& message);
  void append(const Problems& others) {
    lines_.insert(lines_.end(), others.lines_.begin(), others.lines_.end());
  }
  bool empty() const { return lines_.empty(); }
  const std::vector<std::string>& lines() const { return lines_; }
  /// Throws ConfigError that lists every problem below "`source`: N problems", unless there are none.
  void throw_if_any(const std::string& source) const;

 private:
  std::vector<std::string> lines_;
};

/// A key of another trainer (or an old spelling) -> the dotted path of ours.
/// Keys are lower case with underscores; "lr" stands for that leaf wherever it is, "optimizer.lr" for that
/// path alone.
using Spellings = std::map<std::string, std::string>;

/// Keys of Hugging Face's TrainingArguments, LLaMA-Factory, Axolotl, litgpt, torchtune and PEFT.
const Spellings& other_trainers_spellings();

struct ReadOptions {
  std::string path;  ///< dotted path of the object that is read; "" for the root
  const Spellings* spellings = nullptr;
  /// Every dotted path of the whole configuration (list_paths), so that a key put into the wrong section is
  /// recognised.
  const std::vector<std::string>* known_paths = nullptr;
};

/// Reads `json` into the struct behind `describe`. Keys that are absent keep the struct's value;
/// null unsets an optional field or section. Problems gathered: unknown keys (with a suggestion: another
/// trainer's spelling, the right section, or the nearest name), wrong types (1 is not true, neither 2.5
/// nor 2.0 is an integer, an integer is a number), numbers out of range, words not allowed. The root may hold
/// "$schema", which editors write.
void read_settings(const Json& json, const std::function<void(Describer&)>& describe,
                   const ReadOptions& options, Problems& problems);

/// Every field, defaults included, in the order of describe(). Optional fields that are not set are left out.
Json write_settings(const std::function<void(Describer&)>& describe);

/// JSON Schema (draft 2020-12) of one object: type, description, default, limits, enum; additionalProperties
/// false.
Json settings_schema(const std::function<void(Describer&)>& describe);

/// A Markdown table (key, type, default, meaning) of all fields, nested ones as dotted paths.
std::string settings_reference(const std::function<void(Describer&)>& describe);

/// All dotted paths ("train.epochs", "data.train[].path", sections included).
std::vector<std::string> list_paths(const std::function<void(Describer&)>& describe);

/// Applies "a.b.c=VALUE" to a configuration before it is read: VALUE is JSON, or text where it is not valid
/// JSON (output_dir=runs/x). Missing sections are created; list elements are written a.0.b. Throws
/// ConfigError when there is no '=' or a part of the path is not an object or an element of a list.
void apply_override(Json& config, const std::string& override_text);

/// The candidate nearest to `word` by edit distance, or "" when none is near enough to be meant.
std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace excitor
