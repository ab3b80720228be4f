// apply_override: "a.b=VALUE" edits a configuration before it is read.
#include <algorithm>
#include <charconv>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/settings.h>

namespace excitor {
namespace {

[[noreturn]] void fail(const std::string& override_text, const std::string& reason) {
  throw ConfigError(
      fmt::format("{}: {}; an override is written section.key=value, as in train.learning_rate=1e-3",
                  override_text, reason));
}

/// "a.b[0].c" and "a.b.0.c" are the parts a, b, 0, c.
std::vector<std::string> split_path(const std::string& path, const std::string& override_text) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < path.size(); ++i) {
    const bool opens = path[i] == '.' || path[i] == '[';
    const bool closes = path[i] == ']' && (i + 1 == path.size() || path[i + 1] == '.' || path[i + 1] == '[');
    if (opens) parts.emplace_back();
    if (!opens && !closes) parts.back() += path[i];
  }
  const bool has_gap =
      std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  if (has_gap) fail(override_text, "a part of the key is empty");
  return parts;
}

/// The element `part` of a list; the one after the last is created.
Json& element_of(Json& list, const std::string& part, const std::string& override_text) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  const bool is_index = error == std::errc() && end == part.data() + part.size();
  if (!is_index) fail(override_text, fmt::format("'{}' is not the number of a list's element", part));
  if (index > list.size())
    fail(override_text, fmt::format("there is no element {}: the list has {}", index, list.size()));
  if (index == list.size()) list.push_back(nullptr);
  return list[index];
}

Json& child_of(Json& parent, const std::string& part, const std::string& override_text) {
  const bool is_index = part.find_first_not_of("0123456789") == std::string::npos;
  if (parent.is_null()) parent = is_index ? Json::array() : Json::object();  // a section that was not there
  if (parent.is_array()) return element_of(parent, part, override_text);
  if (parent.is_object()) return parent[part];
  fail(override_text, fmt::format("'{}' would lie in {}, which has no keys", part, describe_value(parent)));
}

Json value_of(const std::string& text) {
  try {
    return parse_json(text, "override");
  } catch (const ConfigError&) {
    return text;  // runs/x, cosine: a shell user does not write '"cosine"'
  }
}

}  // namespace

void apply_override(Json& config, const std::string& override_text) {
  const size_t equals = override_text.find('=');
  if (equals == std::string::npos) fail(override_text, "there is no '='");
  Json* place = &config;
  for (const std::string& part : split_path(override_text.substr(0, equals), override_text)) {
    place = &child_of(*place, part, override_text);
  }
  *place = value_of(override_text.substr(equals + 1));
}

}  // namespace excitor
