// COCO's files of captions: references (COCO's own, or Karpathy's split of them) and results.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <excitor/eval/caption_metrics.h>

namespace excitor {

/// An image of COCO's "images" with its references.
struct ReferencedImage {
  std::string id;  ///< as JSON writes it: 42, or "a7"
  std::string file_name;
  std::vector<std::string> references;
};

/// Of Karpathy's file, unless another one is named.
inline constexpr const char* kDefaultCaptionSplit = "test";

/// References: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}; without "images"
/// those of the annotations. Or Karpathy's {"images": [{"cocoid" or "imgid", "filepath", "filename", "split",
/// "sentences": [{"raw"}]}]}, the images of `split` alone ("train" with "restval"). Throws ConfigError for a
/// missing file or for a split of COCO's own, which has none, DataError that names file and element: broken
/// JSON, missing fields, an annotation of an unknown image, an image without a caption, no image.
std::vector<ReferencedImage> read_coco_references(const std::filesystem::path& file,
                                                  const std::string& split = kDefaultCaptionSplit);

/// Puts results [{"image_id", "caption"}] beside the references. Throws DataError that names file and
/// element: a result for an unknown image, two for one; and, unless `subset`, images without a result. With
/// `subset` only images that have one are returned.
std::vector<RawCaptions> read_coco_results(const std::filesystem::path& file,
                                           const std::vector<ReferencedImage>& images, bool subset);

/// Writes into `folder` what the tools for METEOR and SPICE take: results.json (COCO's results), meteor.txt
/// (lines for `meteor-1.5.jar - - -stdio -l en -norm`), spice.json (for spice-1.0.jar).
void write_other_tools_input(const std::filesystem::path& folder, const std::vector<RawCaptions>& raw,
                             const std::vector<CaptionedImage>& tokenized);

}  // namespace excitor
