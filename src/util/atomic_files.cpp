// The half of files.h that writes files and folders complete or not at all.
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <excitor/util/error.h>
#include <excitor/util/files.h>

#include "file_operations.h"

namespace excitor {
namespace fs = std::filesystem;
namespace {

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// A hidden name beside `path`, on the same file system, so that a rename is one step. `path`'s own name is
/// cut: with the suffix it must stay below the 255 bytes of a file name.
fs::path sibling(const fs::path& path, const std::string& suffix) {
  constexpr size_t kKeptOfName = 180;
  return folder_of(path) / fmt::format(".{}.{}", path.filename().string().substr(0, kKeptOfName), suffix);
}

/// Calls `create` with one free temporary name after another until it does not answer EEXIST (it returns an
/// errno). A name can be taken by another thread, or by a crashed process with the same number: in a
/// container that is common.
template <class Create>
fs::path create_temporary(const fs::path& path, Create&& create) {
  for (int attempt = 0;; ++attempt) {
    fs::path temporary = sibling(path, fmt::format("tmp-{}-{}", ::getpid(), attempt));
    const int error_number = create(temporary);
    if (error_number == 0) return temporary;
    if (error_number != EEXIST && error_number != EINTR) throw_io_error(path, "cannot create", error_number);
  }
}

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_io_error(to, "cannot put in place", errno);
}

void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

/// Files first, then the folders that hold them.
void sync_tree(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_symlink()) continue;
    if (entry.is_directory()) {
      sync_tree(entry.path());
    } else if (entry.is_regular_file()) {
      const Descriptor file(open_file_or_throw(entry.path(), O_RDONLY));
      sync_file(file.number(), entry.path());
    }
  }
  sync_folder(folder);
}

/// For file systems that can't exchange two names: the old folder waits as `.NAME.old` until the new one is
/// in place. After a crash between the two renames restore_replaced() gives it its name back.
void replace_in_two_steps(const fs::path& fresh, const fs::path& target) {
  const fs::path old = sibling(target, "old");
  remove_quietly(old);
  rename_or_throw(target, old);
  if (::rename(fresh.c_str(), target.c_str()) != 0) {
    const int error_number = errno;
    rename_or_throw(old, target);
    throw_io_error(target, "cannot put in place", error_number);
  }
  remove_quietly(old);
}

/// Puts `fresh` where `target` is, if anything is there. One of the two is under that name at every moment.
void put_folder_in_place(const fs::path& fresh, const fs::path& target) {
  if (!fs::exists(target)) {
    rename_or_throw(fresh, target);
    remove_quietly(sibling(target, "old"));  // a crash between the two renames above left it
    return;
  }
  const int result = ::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE);
  if (result == 0) {
    remove_quietly(fresh);  // now the old folder
  } else if (errno == ENOSYS || errno == EINVAL) {
    replace_in_two_steps(fresh, target);
  } else {
    throw_io_error(target, "cannot put in place", errno);
  }
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  temporary_ = create_temporary(path_, [this](const fs::path& name) {
    descriptor_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return descriptor_ >= 0 ? 0 : errno;
  });
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_all(descriptor_, path_, bytes);
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  sync_file(descriptor_, path_);
  // Some network file systems tell only now that the disk is full. After EINTR the descriptor is closed all
  // the same.
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR)
    throw_io_error(path_, "cannot write", errno);
  rename_or_throw(temporary_, path_);
  temporary_.clear();
  sync_folder(folder_of(path_));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_folder_atomically(const fs::path& path,
                             const std::function<void(const fs::path& temporary)>& fill) {
  const fs::path target = path.has_filename() ? path : path.parent_path();  // "a/b/" is "a/b"
  std::error_code ignored;
  if (fs::exists(target, ignored) && !fs::is_directory(target, ignored)) {
    throw IoError(fmt::format("{}: is a file; expected a folder or nothing there", target.string()));
  }
  const fs::path temporary = create_temporary(
      target, [](const fs::path& name) { return ::mkdir(name.c_str(), 0777) == 0 ? 0 : errno; });
  try {
    fill(temporary);
    sync_tree(temporary);
    put_folder_in_place(temporary, target);
  } catch (const fs::filesystem_error& error) {
    remove_quietly(temporary);
    throw IoError(fmt::format("{}: cannot write: {}", target.string(), error.code().message()));
  } catch (...) {
    remove_quietly(temporary);
    throw;
  }
  sync_folder(folder_of(target));
}

void link_folder(const fs::path& folder, const fs::path& path) {
  constexpr auto kOver = fs::copy_options::recursive | fs::copy_options::overwrite_existing;
  write_folder_atomically(path, [&](const fs::path& temporary) {
    std::error_code no_links;
    fs::copy(folder, temporary, fs::copy_options::recursive | fs::copy_options::create_hard_links, no_links);
    if (no_links) fs::copy(folder, temporary, kOver);
  });
}

}  // namespace excitor
