// System calls on files with errors as IoError: what files.cpp and atomic_files.cpp share.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include <sys/stat.h>

namespace excitor {

/// A file descriptor that is closed at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

/// Throws IoError "PATH: ACTION: the system's reason", with a hint where one helps.
[[noreturn]] void throw_io_error(const std::filesystem::path& path, std::string_view action,
                                 int error_number);

/// open(2) with O_CLOEXEC and mode 0666; the caller owns the descriptor.
int open_file_or_throw(const std::filesystem::path& path, int flags);

struct stat status_of(int descriptor, const std::filesystem::path& path);

/// Writes everything, however many calls it takes. `path` stands in messages.
void write_all(int descriptor, const std::filesystem::path& path, std::span<const std::byte> bytes);

/// fsync; folders that can't be synced (some network file systems) are left to the system.
void sync_file(int descriptor, const std::filesystem::path& path);
void sync_folder(const std::filesystem::path& folder);

}  // namespace excitor
