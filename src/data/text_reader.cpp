#include "text_reader.h"

#include <nlohmann/json.hpp>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "json_rows.h"
#include "text_lines.h"

namespace excitor {
namespace {

void add_document(std::string text, const Origin& origin, SourceExamples& out) {
  out.examples.push_back({.kind = SourceKind::document, .text = std::move(text), .origin = origin});
}

void read_rows(const std::filesystem::path& path, RowErrors& errors, SourceExamples& out) {
  for_each_json_row(path, errors, [&](const Json& row, const Origin& origin) {
    const std::string* text = required_string(row, "text", origin, errors);
    if (!text) return;
    if (is_blank(*text))
      ++out.empty;
    else
      add_document(*text, origin, out);
  });
}

void read_blocks(const std::filesystem::path& path, SourceExamples& out) {
  const MappedFile file(path);
  Origin origin{.file = std::make_shared<std::string>(path.string()), .number = 0, .is_line = true};
  std::string block;
  const auto finish_block = [&] {
    if (!block.empty()) add_document(std::move(block), origin, out);
    block.clear();
  };
  for (Lines lines(without_byte_order_mark(file.text())); const auto line = lines.next();) {
    if (is_blank(line->text)) {
      finish_block();
      continue;
    }
    if (block.empty())
      origin.number = line->number;
    else
      block += '\n';
    block += line->text;
  }
  finish_block();
}

}  // namespace

void read_text(const std::filesystem::path& path, RowErrors& errors, SourceExamples& out) {
  const std::string extension = path.extension().string();
  if (extension == ".json" || extension == ".jsonl")
    read_rows(path, errors, out);
  else
    read_blocks(path, out);
}

}  // namespace excitor
