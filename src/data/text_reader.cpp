#include "text_reader.h"

#include <nlohmann/json.hpp>

#include "blanks.h"
#include "json_rows.h"
#include "left_out.h"
#include "row_format.h"
#include "text_stream.h"

namespace excitor {
namespace {

void read_rows(const std::filesystem::path& path, RowErrors& errors, DatasetReport& report,
               const SourceSink& sink) {
  JsonRows rows(path, errors);
  while (auto row = rows.next()) {
    if (is_of_other_format(row->value, "text", row->origin, errors)) continue;
    const std::string* text = required_string(row->value, "text", row->origin, errors);
    if (!text) continue;
    if (is_blank(*text))
      leave_out(report, LeftOut::empty, row->origin, "\"text\" is empty");
    else
      sink({.kind = SourceKind::document, .text = *text, .origin = row->origin});
  }
}

void read_blocks(const std::filesystem::path& path, const SourceSink& sink) {
  TextStream stream(path);
  Origin origin{.file = std::make_shared<std::string>(path.string()), .number = 0, .is_line = true};
  std::string block, line;
  const auto finish_block = [&] {
    if (!block.empty()) sink({.kind = SourceKind::document, .text = std::move(block), .origin = origin});
    block.clear();
  };
  for (int64_t number = stream.line(); stream.take_line(line); number = stream.line()) {
    if (is_blank(line)) {
      finish_block();
      continue;
    }
    if (block.empty())
      origin.number = number;
    else
      block += '\n';
    block += line;
  }
  finish_block();
}

}  // namespace

void read_text(const std::filesystem::path& path, RowErrors& errors, DatasetReport& report,
               const SourceSink& sink) {
  const std::string extension = path.extension().string();
  if (extension == ".json" || extension == ".jsonl")
    read_rows(path, errors, report, sink);
  else
    read_blocks(path, sink);
}

}  // namespace excitor
