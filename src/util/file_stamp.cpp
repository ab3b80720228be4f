#include <excitor/util/file_stamp.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include <fmt/format.h>
#include <sys/stat.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * kNanosecondsPerSecond + time.tv_nsec;
}

}  // namespace

FileStamp stamp_of(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    throw IoError(fmt::format("{}: cannot read: {}", path.string(), std::strerror(errno)));
  return {.size = status.st_size,
          .modified_ns = nanoseconds(status.st_mtim),
          .status_changed_ns = nanoseconds(status.st_ctim),
          .inode = static_cast<int64_t>(status.st_ino)};
}

bool is_settled(const FileStamp& stamp) {
  constexpr int64_t kSeconds = 2;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now) - stamp.status_changed_ns > kSeconds * kNanosecondsPerSecond;
}

}  // namespace excitor
