// Plain text: documents of a .txt file, or rows of {"text": …}.
#pragma once

#include <filesystem>

#include <excitor/data/dataset_report.h>

#include "row_errors.h"
#include "source_example.h"

namespace excitor {

/// Reads the documents of a file. In a .json or .jsonl file a document is a row's `text`; in any other file
/// it is a block between blank lines, with LF between its lines. Rows whose text is blank are left out and
/// counted in `report.empty`; bad rows are added to `errors`.
void read_text(const std::filesystem::path& path, RowErrors& errors, DatasetReport& report,
               const SourceSink& sink);

}  // namespace excitor
