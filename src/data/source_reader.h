// The one place that knows all formats.
#pragma once

#include <string>
#include <vector>

#include <excitor/data/data_settings.h>
#include <excitor/data/dataset_report.h>
#include <excitor/tokenizer/prompt_template.h>

#include "row_errors.h"
#include "source_example.h"

namespace excitor {

/// The format to read a file by: its own, or for "auto" what its name and first row say. Throws ConfigError
/// for a file that does not exist, is a folder, or is of a kind that can't be told.
std::string format_of(const DataFileSettings& file);

/// A file to read, and what its examples' texts depend on beside it.
struct SourceFile {
  const DataFileSettings& file;  ///< its format is never "auto"
  const PromptTemplate& prompt_template;
  const std::string& caption_instruction;
};

/// True when the examples depend on the prompt template: all formats but text.
bool uses_template(const std::string& format);

/// Hands the examples of a file to `sink`, one row or document being in memory at a time. What readers leave
/// out is counted in `report`; bad rows are added to `errors`. Throws DataError for a file that holds no rows
/// at all or no examples, IoError when it can't be read.
void read_sources(const SourceFile& source, RowErrors& errors, DatasetReport& report, const SourceSink& sink);

}  // namespace excitor
