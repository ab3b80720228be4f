// The images that are to be captioned: those of a folder, or those that a file of references names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <excitor/eval/coco_captions.h>
#include <excitor/util/json.h>
#include <excitor/vision/bad_images.h>

namespace excitor {

struct ImageToCaption {
  Json id;  ///< a whole number or a text: "image_id" of the results
  std::filesystem::path file;
  std::vector<std::string> references;  ///< may be empty
};

/// The JPEG, PNG and WebP files of a folder and its subfolders, by their names' endings, in the order of
/// their paths. The id is the number at the end of a name that is a number or ends in "_" and twelve digits
/// (COCO's), else the name without its ending. Throws ConfigError: no such folder, no image in it; DataError:
/// two images with one id.
std::vector<ImageToCaption> list_image_folder(const std::filesystem::path& folder);

/// The referenced images in their folder: under "file_name", or where that is not there, under its last part.
/// Throws ConfigError (no such folder), DataError: an image without a file name, or one that leads out of the
/// folder.
std::vector<ImageToCaption> find_referenced_images(const std::vector<ReferencedImage>& referenced,
                                                   const std::filesystem::path& folder);

/// Reads all files and leaves out those that are bad, or fails. Returns the names of those left out.
std::vector<std::string> drop_bad_images(std::vector<ImageToCaption>& images, OnBadImage what);

}  // namespace excitor
