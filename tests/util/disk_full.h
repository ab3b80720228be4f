// Ways to let a write fail.
#pragma once

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

namespace excitor {

/// No file of this process may become larger from now on. For child processes of a test only.
inline void limit_file_size(uint64_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);  // else the write ends the process instead of failing with EFBIG
  const rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("cannot limit the file size");
}

/// From now on this process is not root any more. For child processes of a test only.
inline void give_up_privileges() {
  constexpr uid_t kNobody = 65534;
  if (::geteuid() == 0 && ::setuid(kNobody) != 0) throw std::runtime_error("cannot become another user");
}

/// Ends the process: 0 with the message of the exception on standard error, 1 when there was none.
template <class Function>
[[noreturn]] void exit_with_error_of(Function&& function) {
  try {
    function();
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    std::_Exit(0);
  }
  std::_Exit(1);
}

/// A file system of a few pages, mounted on a folder while it lives; mounted() is false where that is not
/// permitted.
class TinyDisk {
 public:
  TinyDisk(const std::filesystem::path& folder, const char* options) : folder_(folder) {
    mounted_ = ::mount("tmpfs", folder.c_str(), "tmpfs", 0, options) == 0;
  }
  ~TinyDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  std::filesystem::path folder_;
  bool mounted_ = false;
};

}  // namespace excitor
