#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

namespace excitor {

namespace fs = std::filesystem;

FolderLock::FolderLock(const fs::path& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0)
    throw IoError(fmt::format("{}: cannot open: {}", folder.string(), std::strerror(errno)));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  const int reason = errno;
  ::close(descriptor_);
  // Some network file systems know no locks; they are used without.
  descriptor_ = -1;
  if (reason == EWOULDBLOCK) {
    throw IoError(
        fmt::format("{}: another run is at work in this folder; wait for it, or choose another output_dir",
                    folder.string()));
  }
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void restore_replaced(const fs::path& folder) {
  constexpr std::string_view kEnd = ".old";
  std::error_code ignored;
  std::vector<std::string> replaced;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(".") && name.ends_with(kEnd) && name.size() > kEnd.size() + 1)
      replaced.push_back(std::move(name));
  }
  for (const std::string& name : replaced) {
    const fs::path target = folder / name.substr(1, name.size() - 1 - kEnd.size());
    if (!fs::exists(target, ignored)) fs::rename(folder / name, target, ignored);
  }
}

void remove_temporaries(const fs::path& folder) {
  restore_replaced(folder);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool temporary =
        name.starts_with(".") && (name.find(".tmp-") != std::string::npos || name.ends_with(".old"));
    if (temporary) fs::remove_all(entry.path(), ignored);
  }
}

}  // namespace excitor
