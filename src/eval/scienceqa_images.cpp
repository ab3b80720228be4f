// Where ScienceQA's images lie.
#include <algorithm>

#include <excitor/data/question_rows.h>
#include <excitor/util/image_path.h>

#include "scienceqa.h"

namespace excitor {
namespace {

namespace fs = std::filesystem;

fs::path image_of(const ScienceQuestion& question, const fs::path& folder) {
  const std::string inside = question.id + "/" + question.image;
  const fs::path published = image_path(folder, "test/" + inside);
  std::error_code ignored;
  for (const fs::path& file : {published, image_path(folder, inside), image_path(folder, question.image)}) {
    if (fs::exists(file, ignored)) return file;
  }
  return published;  // whose absence is told
}

}  // namespace

std::vector<fs::path> find_science_images(const std::vector<ScienceQuestion>& questions,
                                          const TaskImages& images, std::vector<std::string>& left_out) {
  require_folder(images.folder, "the folder of ScienceQA's images");
  std::vector<fs::path> files(questions.size()), present;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (questions[i].image.empty()) continue;
    files[i] = image_of(questions[i], images.folder);
    present.push_back(files[i]);
  }
  const std::vector<BadImage> bad = find_bad_images(present);
  handle_bad_images(bad, present.size(), images.on_bad_image);
  for (const BadImage& image : bad) {
    std::ranges::replace(files, image.file, fs::path());
    left_out.push_back(image.file.string());
  }
  return files;
}

}  // namespace excitor
