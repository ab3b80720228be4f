// Images with captions: rows {image, caption}, COCO's annotations, Karpathy's splits.
#pragma once

#include <excitor/data/dataset_report.h>

#include "row_errors.h"
#include "source_example.h"
#include "source_reader.h"

namespace excitor {

/// Rows {"image": name, "caption": text or a list of texts} of a JSON array or a JSONL file. Each caption is
/// an example: the caption instruction as the user's message, the caption, without blanks around it, as the
/// answer; blank ones are left out and counted in `report`. Bad rows are added to `errors`: no image, no
/// caption, a path that leaves the image folder.
void read_captions(const SourceFile& source, RowErrors& errors, DatasetReport& report,
                   const SourceSink& sink);

/// {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}: an example for each
/// annotation. Also bad: an annotation of an image that is not among "images". Throws DataError for a
/// document that is none of COCO's.
void read_coco(const SourceFile& source, RowErrors& errors, DatasetReport& report, const SourceSink& sink);

/// Karpathy's {"images": [{"filepath", "filename", "split", "sentences": [{"raw"}]}]}: an example for each
/// sentence of the images of a split; "train" is train and restval, as in the papers. Throws DataError for a
/// document of another kind, or a split without images.
void read_karpathy(const SourceFile& source, RowErrors& errors, DatasetReport& report,
                   const SourceSink& sink);

}  // namespace excitor
