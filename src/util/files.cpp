#include <excitor/util/files.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <excitor/util/error.h>

#include "file_operations.h"

namespace excitor {
namespace fs = std::filesystem;

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const Descriptor file(open_file_or_throw(path, O_RDONLY));
  const struct stat status = status_of(file.number(), path);
  if (S_ISDIR(status.st_mode)) throw IoError(fmt::format("{}: is a folder; expected a file", path.string()));
  if (!S_ISREG(status.st_mode)) throw IoError(fmt::format("{}: is not a regular file", path.string()));
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (address == MAP_FAILED) throw_io_error(path, "cannot map into memory", errno);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

// Does not trust the size that the system tells: a pipe and a file of /proc have none.
std::string read_file(const fs::path& path) {
  constexpr size_t kLeastStep = 1 << 16;
  const Descriptor file(open_file_or_throw(path, O_RDONLY));
  const auto expected = static_cast<size_t>(status_of(file.number(), path).st_size);
  std::string content;
  for (size_t filled = 0;;) {
    if (content.size() - filled < kLeastStep)
      content.resize(std::max(expected + kLeastStep, content.size() * 2));
    const ssize_t count = ::read(file.number(), content.data() + filled, content.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io_error(path, "cannot read", errno);
    filled += static_cast<size_t>(count);
    if (count == 0) {
      content.resize(filled);
      return content;
    }
  }
}

void make_writable_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error && !fs::is_directory(path)) throw_io_error(path, "cannot make the folder", error.value());
  if (::access(path.c_str(), W_OK | X_OK) != 0) throw_io_error(path, "cannot write into the folder", errno);
}

AppendFile::AppendFile(const fs::path& path)
    : path_(path), descriptor_(open_file_or_throw(path, O_WRONLY | O_APPEND | O_CREAT)) {}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::append_line(std::string_view line) {
  const std::string whole = fmt::format("{}\n", line);
  const off_t length_before = ::lseek(descriptor_, 0, SEEK_END);
  try {
    write_all(descriptor_, path_, std::as_bytes(std::span(whole)));
  } catch (const IoError&) {
    // Half a line would spoil the next one. What can't be cut (a device, a pipe) has no lines to spoil.
    std::error_code ignored;
    if (length_before >= 0) fs::resize_file(path_, static_cast<uintmax_t>(length_before), ignored);
    throw;
  }
}

}  // namespace excitor
