#include "json_fields.h"

#include <utility>

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {

JsonFields::JsonFields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) fail(fmt::format("expected an object, found {}", describe_value(object)));
}

const Json& JsonFields::get(const std::string& key) {
  static const Json kNull;
  asked_.insert(key);
  const auto found = object_.find(key);
  return found == object_.end() ? kNull : *found;
}

bool JsonFields::flag(const std::string& key, bool otherwise) {
  const Json& value = get(key);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean())
    fail(fmt::format("{}: expected true or false, found {}", key, describe_value(value)));
  return value.get<bool>();
}

std::string JsonFields::text(const std::string& key) {
  const Json& value = get(key);
  if (!value.is_string()) fail(fmt::format("{}: expected a string, found {}", key, describe_value(value)));
  return value.get<std::string>();
}

const Json& JsonFields::list(const std::string& key) {
  const Json& value = get(key);
  if (!value.is_array()) fail(fmt::format("{}: expected a list, found {}", key, describe_value(value)));
  return value;
}

void JsonFields::require_nothing_else() const {
  for (const auto& item : object_.items()) {
    if (!asked_.contains(item.key())) fail(fmt::format("the key \"{}\" is not understood", item.key()));
  }
}

void JsonFields::fail(const std::string& reason) const {
  throw CheckpointError(fmt::format("{}: {}", where_, reason));
}

}  // namespace excitor
