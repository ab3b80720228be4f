#include "source_reader.h"

#include <filesystem>

#include <fmt/format.h>

#include <excitor/util/error.h>

#include "alpaca_reader.h"
#include "chat_reader.h"
#include "row_format.h"
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

}  // namespace

std::string format_of(const DataFileSettings& file) {
  require_file(file.path);
  return file.format == "auto" ? detect_format(file.path) : file.format;
}

bool uses_template(const std::string& format) {
  return format != "text";
}

void read_sources(const std::string& path, const std::string& format, const PromptTemplate& prompt_template,
                  RowErrors& errors, DatasetReport& report, const SourceSink& sink) {
  int64_t examples = 0;
  const SourceSink counting = [&](SourceExample example) {
    ++examples;
    sink(std::move(example));
  };
  if (format == "alpaca")
    read_alpaca(path, prompt_template, errors, counting);
  else if (format == "sharegpt")
    read_chats(path, ChatFormat::sharegpt, prompt_template, errors, report, counting);
  else if (format == "openai")
    read_chats(path, ChatFormat::openai, prompt_template, errors, report, counting);
  else if (format == "text")
    read_text(path, errors, report, counting);
  else
    throw ConfigError(
        fmt::format("{}: unknown format \"{}\"; known: alpaca, sharegpt, openai, text, auto", path, format));
  if (examples == 0 && errors.empty()) {
    throw DataError(fmt::format("{}: no examples in the file{}", path,
                                report.without_answer > 0 ? ": no conversation holds an answer" : ""));
  }
}

}  // namespace excitor
