#include "row_fields.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/util/error.h>

#include "json_rows.h"

namespace excitor {

bool is_absent(const Json& object, const char* key) {
  return !object.contains(key) || object[key].is_null();
}

bool is_nothing(const Json& object, const char* key) {
  return is_absent(object, key) || object[key] == "" || object[key] == Json::array();
}

const std::string& string_under(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end())
    throw DataError(fmt::format("\"{}\" is missing; found the keys: {}", key, keys_of(object)));
  if (!found->is_string())
    throw DataError(fmt::format("\"{}\" must be a string; found {}", key, describe_value(*found)));
  return found->get_ref<const std::string&>();
}

}  // namespace excitor
