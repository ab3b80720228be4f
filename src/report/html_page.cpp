#include <excitor/report/html_page.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "page_files.h"

namespace excitor {
namespace {

/// JSON that may stand inside a <script>: "</script>" and "<!--" can't occur in it.
std::string json_for_script(const Json& data) {
  std::string out;
  for (const char c : data.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<')
      out += "\\u003c";  // outside of strings JSON has no '<'
    else
      out += c;
  }
  return out;
}

constexpr const char* kHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
)";

}  // namespace

std::string html_page(std::string_view title, std::string_view script, const Json& data) {
  return fmt::format(
      "{}<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main id=\"page\"></main>\n"
      "<noscript>This page draws its charts with JavaScript of its own; please allow it.</noscript>\n"
      "<script type=\"application/json\" id=\"data\">{}</script>\n"
      "<script>\n\"use strict\";\n{}{}{}</script>\n</body>\n</html>\n",
      kHead, escape_html(title), page_files::style, json_for_script(data), page_files::elements,
      page_files::charts, script);
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace excitor
