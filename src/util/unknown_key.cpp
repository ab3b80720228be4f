#include "unknown_key.h"

#include <algorithm>

#include <fmt/core.h>

#include "described_value.h"

namespace excitor {
namespace {

/// Lower case, underscores: "Learning-Rate" is learning_rate.
std::string normalised(std::string key) {
  for (char& c : key) {
    if ('A' <= c && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-') c = '_';
  }
  return key;
}

/// Our path for another trainer's key, or "": by the whole dotted path first, then by the key alone.
std::string spelled_elsewhere(const std::string& key, const ReadOptions& options) {
  if (options.spellings == nullptr) return "";
  for (const std::string& spelling : {normalised(join_path(options.path, key)), normalised(key)}) {
    const auto found = options.spellings->find(spelling);
    if (found != options.spellings->end()) return found->second;
  }
  return "";
}

/// Known paths of other sections that end in `key`, at most three, joined by "or".
std::string right_sections(const std::string& key, const ReadOptions& options) {
  if (options.known_paths == nullptr) return "";
  std::vector<std::string> paths;
  for (const std::string& path : *options.known_paths) {
    if (leaf_of(path) == normalised(key) && path != join_path(options.path, key)) paths.push_back(path);
  }
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(paths.size(), 3); ++i) text += (i == 0 ? "" : " or ") + paths[i];
  return text;
}

std::string list_of_known(const std::vector<std::string>& siblings) {
  std::string text;
  for (const std::string& name : siblings) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::string unknown_key_message(const std::string& key, const std::vector<std::string>& siblings,
                                const ReadOptions& options) {
  const std::string name = normalised(key);
  const bool is_sibling = std::find(siblings.begin(), siblings.end(), name) != siblings.end();
  const std::string nearest = is_sibling ? name : nearest_name(name, siblings);
  const std::string spelled = spelled_elsewhere(key, options);
  if (!is_sibling && !spelled.empty() && spelled != join_path(options.path, key))
    return fmt::format("unknown key; use {}", spelled);
  const std::string section = right_sections(key, options);
  if (!is_sibling && !section.empty()) return fmt::format("unknown key here; did you mean {}?", section);
  if (!nearest.empty()) return fmt::format("unknown key; did you mean {}?", join_path(options.path, nearest));
  if (siblings.empty()) return "unknown key; no keys are expected here";
  return fmt::format("unknown key; known here: {}", list_of_known(siblings));
}

}  // namespace excitor
