#include <excitor/vision/known_images.h>

#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

namespace excitor {
namespace {

constexpr size_t kDigestDigits = 64;

std::string name_of(const std::filesystem::path& image) {
  return std::filesystem::absolute(image).string();
}

}  // namespace

KnownImages::KnownImages(std::filesystem::path file) : file_(std::move(file)) {
  // A line an image: digest, size, times, inode, and the path up to its end.
  std::ifstream stream(file_);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    Known known;
    std::string path;
    FileStamp& stamp = known.stamp;
    words >> known.digest >> stamp.size >> stamp.modified_ns >> stamp.status_changed_ns >> stamp.inode;
    words.ignore(1);
    std::getline(words, path);
    if (words && known.digest.size() == kDigestDigits) images_.insert_or_assign(path, std::move(known));
  }
}

std::optional<std::string> KnownImages::digest_of(const std::filesystem::path& image,
                                                  const FileStamp& stamp) const {
  const auto known = images_.find(name_of(image));
  if (known == images_.end() || known->second.stamp != stamp) return std::nullopt;
  return known->second.digest;
}

void KnownImages::note(const std::filesystem::path& image, const FileStamp& stamp,
                       const std::string& digest) {
  const std::string name = name_of(image);
  if (name.find('\n') != std::string::npos) return;
  images_.insert_or_assign(name, Known{.stamp = stamp, .digest = digest});
  has_news_ = true;
}

void KnownImages::save() {
  if (!has_news_) return;
  std::string text;
  for (const auto& [path, known] : images_) {
    const FileStamp& stamp = known.stamp;
    text += fmt::format("{} {} {} {} {} {}\n", known.digest, stamp.size, stamp.modified_ns,
                        stamp.status_changed_ns, stamp.inode, path);
  }
  try {
    write_file_atomically(file_, text);
    has_news_ = false;
  } catch (const IoError&) {
    // As the declaration says.
  }
}

}  // namespace excitor
