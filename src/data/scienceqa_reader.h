// Questions with choices, some about an image: ScienceQA as training data.
#pragma once

#include "row_errors.h"
#include "source_example.h"
#include "source_reader.h"

namespace excitor {

/// The questions of a split of problems.json, with pid_splits.json beside it: the prompt is the user's
/// message, in the data set's own words ("Question: … Context: … Options: … Answer:"), what follows it the
/// answer. With an image folder a question's image is shown (FOLDER/SPLIT/ID/image.png as it is published,
/// FOLDER/ID/image.png or FOLDER/image.png); without one all are texts. Throws as read_scienceqa().
void read_science_examples(const SourceFile& source, const SourceSink& sink);

}  // namespace excitor
