// One file as a stream of tokenised batches.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <excitor/data/data_settings.h>
#include <excitor/data/dataset_report.h>
#include <excitor/tokenizer/prompt_template.h>
#include <excitor/tokenizer/tokenizer.h>

#include "row_errors.h"
#include "tokenise.h"

namespace excitor {

/// What is tokenised, and how. What is referred to outlives the task.
struct FileTask {
  DataFileSettings file;  ///< its format is never "auto"
  const DataSettings& settings;
  const PromptTemplate& prompt_template;
  const Tokenizer& tokenizer;
};

/// What is known of a file once it has been read.
struct FileSummary {
  DatasetReport report;           ///< what the reader counted
  bool origins_are_lines = true;  ///< else rows of an array
};

/// Takes the examples of the next rows; `sources` rows (or documents) are done with them.
using BatchSink = std::function<void(const Tokenised& batch, int64_t sources)>;

/// Reads and tokenises a file, a few megabytes of text at a time, after passing over its first `skip` rows.
/// The summary is that of the whole file, `skip` included; what tokenising counts stands in the batches. Bad
/// rows and examples are added to `errors`; after a bad row the rest is read, to name all of them, but no
/// longer tokenised.
///
/// Throws DataError for a file that holds no rows or that changes meanwhile, IoError when it can't be read,
/// ConfigError for a prompt template that needs control tokens which the vocabulary lacks, and Interrupted
/// after SIGINT or SIGTERM where StopSignals watches for them.
FileSummary tokenise_file(const FileTask& task, int64_t skip, RowErrors& errors, const BatchSink& sink);

}  // namespace excitor
