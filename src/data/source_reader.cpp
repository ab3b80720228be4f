#include "source_reader.h"

#include <filesystem>

#include <fmt/format.h>

#include <excitor/util/error.h>

#include "alpaca_reader.h"
#include "caption_reader.h"
#include "chat_reader.h"
#include "row_format.h"
#include "scienceqa_reader.h"
#include "text_reader.h"

namespace excitor {
namespace {

void require_file(const std::string& path) {
  std::error_code refused;
  const auto kind = std::filesystem::status(path, refused).type();
  if (kind == std::filesystem::file_type::directory)
    throw ConfigError(fmt::format("{} is a folder; a data file is expected", path));
  if (!std::filesystem::exists(path, refused))
    throw ConfigError(fmt::format("the data file {} does not exist or may not be read", path));
}

/// Why a file that was read to its end holds no examples; "" where it holds no rows.
std::string why_none(const DatasetReport& report) {
  std::string reasons;
  if (report.without_answer > 0) reasons += ": no conversation holds an answer to train on";
  if (report.empty > 0)
    reasons +=
        fmt::format(": {} rows hold nothing to learn ({})", report.empty, report.left_out.front().text());
  return reasons;
}

}  // namespace

std::string format_of(const DataFileSettings& file) {
  require_file(file.path);
  if (file.format != "auto") return file.format;
  const std::string format = detect_format(file.path);
  return format == "sharegpt" && !file.images.empty() ? "llava" : format;  // whose first row may be a text
}

bool uses_template(const std::string& format) {
  return format != "text";
}

void read_sources(const SourceFile& source, RowErrors& errors, DatasetReport& report,
                  const SourceSink& sink) {
  const std::string &path = source.file.path, &format = source.file.format;
  int64_t examples = 0;
  const SourceSink counting = [&](SourceExample example) {
    ++examples;
    sink(std::move(example));
  };
  if (format == "alpaca")
    read_alpaca(source, errors, report, counting);
  else if (format == "sharegpt")
    read_chats(source, ChatFormat::sharegpt, errors, report, counting);
  else if (format == "openai")
    read_chats(source, ChatFormat::openai, errors, report, counting);
  else if (format == "llava")
    read_chats(source, ChatFormat::llava, errors, report, counting);
  else if (format == "text")
    read_text(path, errors, report, counting);
  else if (format == "caption")
    read_captions(source, errors, report, counting);
  else if (format == "coco")
    read_coco(source, errors, report, counting);
  else if (format == "karpathy")
    read_karpathy(source, errors, report, counting);
  else if (format == "scienceqa" || format == "scienceqa-lea")
    read_science_examples(source, counting);
  else
    throw ConfigError(fmt::format("{}: unknown format \"{}\"; see data.train[].format", path, format));
  if (examples == 0 && errors.empty()) {
    throw DataError(fmt::format("{}: no examples in the file{}", path, why_none(report)));
  }
}

}  // namespace excitor
