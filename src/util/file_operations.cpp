#include "file_operations.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <excitor/util/error.h>

namespace excitor {
namespace fs = std::filesystem;
namespace {

std::string reason(int error_number) {
  return std::system_category().message(error_number);
}

bool is_out_of_space(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

/// " (the folder X does not exist)" for the topmost missing folder above a missing file, else "".
std::string missing_folder_hint(const fs::path& path) {
  fs::path missing;
  std::error_code ignored;
  for (fs::path folder = path.parent_path(); !folder.empty() && !fs::exists(folder, ignored);
       folder = folder.parent_path()) {
    missing = folder;
  }
  return missing.empty() ? "" : fmt::format(" (the folder {} does not exist)", missing.string());
}

}  // namespace

Descriptor::~Descriptor() {
  ::close(number_);
}

void throw_io_error(const fs::path& path, std::string_view action, int error_number) {
  const std::string hint = error_number == ENOENT ? missing_folder_hint(path) : "";
  throw IoError(fmt::format("{}: {}: {}{}", path.string(), action, reason(error_number), hint));
}

int open_file_or_throw(const fs::path& path, int flags) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    if (descriptor >= 0) return descriptor;
    if (errno != EINTR) throw_io_error(path, "cannot open", errno);
  }
}

struct stat status_of(int descriptor, const fs::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw_io_error(path, "cannot read its size", errno);
  return status;
}

void write_all(int descriptor, const fs::path& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(count));
    } else if (is_out_of_space(errno)) {
      throw IoError(fmt::format("{}: cannot write: {} (needed {} bytes; free some or choose another folder)",
                                path.string(), reason(errno), bytes.size()));
    } else if (errno != EINTR) {
      throw_io_error(path, "cannot write", errno);
    }
  }
}

void sync_file(int descriptor, const fs::path& path) {
  while (::fsync(descriptor) != 0) {
    if (errno == EINVAL || errno == EROFS) return;  // nothing that could be synced: a device, a pipe
    if (errno != EINTR) throw_io_error(path, "cannot write", errno);
  }
}

void sync_folder(const fs::path& folder) {
  const Descriptor descriptor(open_file_or_throw(folder, O_RDONLY | O_DIRECTORY));
  sync_file(descriptor.number(), folder);
}

}  // namespace excitor
