#include "folder_turn.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>

namespace excitor {
namespace {

constexpr auto kPause = std::chrono::milliseconds(200);

/// True when `path` still names the folder that is open: the holder before us may have renamed it.
bool is_still_named(int descriptor, const std::filesystem::path& path) {
  struct stat open_one {
  }, named_one{};
  return ::fstat(descriptor, &open_one) == 0 && ::stat(path.c_str(), &named_one) == 0 &&
         open_one.st_ino == named_one.st_ino && open_one.st_dev == named_one.st_dev;
}

/// Opens and locks the folder; the descriptor, or -1 while another process holds it.
int try_to_hold(const std::filesystem::path& folder) {
  make_writable_folder(folder);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOENT) return -1;  // renamed this moment
    throw IoError(fmt::format("{}: cannot open: {}", folder.string(), std::strerror(errno)));
  }
  const bool busy = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!busy && is_still_named(descriptor, folder)) return descriptor;
  ::close(descriptor);
  return -1;
}

}  // namespace

FolderTurn::FolderTurn(const std::filesystem::path& folder) {
  for (bool first = true; (descriptor_ = try_to_hold(folder)) < 0; first = false) {
    if (first)
      log::info(fmt::format("{}: another process tokenises the same file; waiting for it", folder.string()));
    if (const int signal = StopSignals::requested(); signal != 0)
      throw Interrupted("stopped while waiting for another process", signal);
    std::this_thread::sleep_for(kPause);
  }
}

FolderTurn::~FolderTurn() {
  ::close(descriptor_);
}

}  // namespace excitor
