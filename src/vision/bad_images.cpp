#include <excitor/vision/bad_images.h>

#include <algorithm>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/log.h>

namespace excitor {

std::vector<BadImage> find_bad_images(const std::vector<std::filesystem::path>& files,
                                      const ImageLimits& limits) {
  std::vector<std::string> reasons(files.size());
  at::parallel_for(0, std::ssize(files), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      try {
        read_image(files[i], limits);
      } catch (const Error& error) {
        reasons[i] = error.what();
      }
    }
  });
  std::vector<BadImage> bad;
  for (size_t i = 0; i < files.size(); ++i) {
    if (!reasons[i].empty()) bad.push_back({files[i], reasons[i]});
  }
  return bad;
}

std::string describe_bad_images(const std::vector<BadImage>& bad, size_t images) {
  constexpr size_t kShown = 20;
  std::string text = fmt::format("{} of {} images can't be used:", bad.size(), images);
  for (size_t i = 0; i < std::min(kShown, bad.size()); ++i) text += "\n  " + bad[i].reason;
  if (bad.size() > kShown) text += fmt::format("\n  and {} more", bad.size() - kShown);
  return text;
}

void handle_bad_images(const std::vector<BadImage>& bad, size_t images, OnBadImage what) {
  if (bad.empty()) return;
  const std::string text = describe_bad_images(bad, images);
  if (what == OnBadImage::fail)
    throw DataError(text + "\nmend or remove them, or leave them out with on_bad_image skip");
  log::warning(text + "\nthey are left out");
}

}  // namespace excitor
