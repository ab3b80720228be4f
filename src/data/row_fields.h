// What readers ask of a row's fields. All throw DataError, without the row's place.
#pragma once

#include <string>

#include <excitor/util/json.h>

namespace excitor {

/// Absent or null.
bool is_absent(const Json& object, const char* key);

/// Absent, null, "" or []: what tables write where there is nothing.
bool is_nothing(const Json& object, const char* key);

/// The string under `key`. Throws where it is missing or no string.
const std::string& string_under(const Json& object, const char* key);

}  // namespace excitor
