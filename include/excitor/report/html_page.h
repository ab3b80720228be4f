// A page in one file: our style and scripts, and the data that they draw. It asks for nothing over the
// network.
#pragma once

#include <string>
#include <string_view>

#include <excitor/util/json.h>

namespace excitor {

/// The HTML of a page whose `script` (the body of one JavaScript file, after the chart functions) draws
/// `data`. Nothing in `title` or `data` is read as HTML.
std::string html_page(std::string_view title, std::string_view script, const Json& data);

/// &, <, > and quotes as HTML's entities.
std::string escape_html(std::string_view text);

}  // namespace excitor
