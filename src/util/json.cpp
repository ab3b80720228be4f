#include <excitor/util/json.h>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <excitor/util/files.h>
#include <excitor/util/utf8.h>

#include "json_parser.h"

namespace excitor {

Json parse_json(std::string_view text, const std::string& name, JsonDialect dialect, size_t first_line) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // the mark that editors on Windows write
  JsonParser parser(text, name, dialect, first_line);
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    parser.fail(zero, "a zero byte: not a text file, a damaged one, or UTF-16 (save it as UTF-8)");
  }
  if (const size_t invalid = find_invalid_utf8(text); invalid != std::string_view::npos) {
    parser.fail(invalid, fmt::format("the byte 0x{:02X} is not valid UTF-8; save the text as UTF-8",
                                     static_cast<unsigned char>(text[invalid])));
  }
  return parser.document();
}

Json read_json_file(const std::filesystem::path& path, JsonDialect dialect) {
  return parse_json(read_file(path), path.string(), dialect);
}

std::string describe_value(const Json& value) {
  constexpr size_t kShown = 60;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (value.is_number_integer()) return "the integer " + text;
  if (value.is_number()) return "the number " + text;
  if (!value.is_string()) return text;  // true, false, null
  if (text.size() <= kShown) return "the string " + text;
  return "the string " + text.substr(0, complete_utf8_prefix(text.substr(0, kShown))) + "…\"";
}

}  // namespace excitor
