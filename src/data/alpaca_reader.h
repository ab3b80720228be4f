// Instructions in Stanford Alpaca's format: rows of {instruction, input, output}.
#pragma once

#include <excitor/data/dataset_report.h>

#include "row_errors.h"
#include "source_example.h"
#include "source_reader.h"

namespace excitor {

/// Reads a JSON array or a JSONL file. `instruction` and `output` are strings; `input` may be absent, null or
/// "". Dolly's names are known too: `context` and `response`. As in LLaMA-Factory, `system` is the system
/// message and `history` [[question, answer], …] the turns before the instruction, whose answers are trained
/// on as well; both may be absent, null or empty. Other keys are ignored.
///
/// Rows with a blank answer are left out and counted in `report`. Bad rows are added to `errors`: a key that
/// is missing or of another type, a blank question, a system message for which the template has no place.
void read_alpaca(const SourceFile& source, RowErrors& errors, DatasetReport& report, const SourceSink& sink);

}  // namespace excitor
