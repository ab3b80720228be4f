// Which content image files had, so that files that stay as they are need no reading.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>

#include <excitor/util/file_stamp.h>

namespace excitor {

/// The SHA-256 of image files, by path and stamp, kept in one text file. Images that this tells of cost a
/// look at the folder instead of a look at their bytes (thirteen gigabytes of them for COCO).
class KnownImages {
 public:
  /// What `file` tells; nothing where it is not there or damaged.
  explicit KnownImages(std::filesystem::path file);

  /// The digest of `image`, where it had the same stamp before.
  std::optional<std::string> digest_of(const std::filesystem::path& image, const FileStamp& stamp) const;
  void note(const std::filesystem::path& image, const FileStamp& stamp, const std::string& digest);
  /// Writes what was noted since, beside what the file tells. A folder that can't be written to is no error:
  /// the next start reads the images again.
  void save();

 private:
  struct Known {
    FileStamp stamp;
    std::string digest;
  };
  std::filesystem::path file_;
  std::unordered_map<std::string, Known> images_;  ///< by absolute path
  bool has_news_ = false;
};

}  // namespace excitor
