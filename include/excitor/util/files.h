// Files: whole or absent. Readers map memory; writers write beside the target, sync, and rename.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace excitor {

/// A read-only memory mapping of a whole file. An empty file maps to an empty span.
class MappedFile {
 public:
  /// Throws IoError: missing, a directory, unreadable.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The content of a file. Throws IoError.
std::string read_file(const std::filesystem::path& path);

/// Writes a file that appears under `path` complete or not at all: a temporary name beside it, write, fsync,
/// rename, fsync of the folder. Throws IoError (with the system's reason: no space left, permission, …) and
/// leaves neither the temporary file nor a changed target behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  /// Removes the temporary file unless commit() succeeded.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// write + commit of a whole text.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Creates a folder that appears under `path` complete or not at all: `fill` writes into a temporary sibling,
/// which is synced (every file and the folder) and renamed. An existing `path` is replaced. When `fill`
/// throws, nothing is left.
void write_folder_atomically(const std::filesystem::path& path,
                             const std::function<void(const std::filesystem::path& temporary)>& fill);

/// `folder` again under `path`, complete or not at all: hard links to its files, or copies where the file
/// system has none. For folders whose files are replaced, never changed. Throws IoError.
void link_folder(const std::filesystem::path& folder, const std::filesystem::path& path);

/// mkdir -p; throws IoError when a part can't be made or the folder can't be written to.
void make_writable_folder(const std::filesystem::path& path);

/// Holds a folder for this process: a second holder, in any process, is refused. Nothing is written; the hold
/// ends with the process.
class FolderLock {
 public:
  /// Throws IoError when another process holds it, or it can't be opened.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// Gives folders in `folder` their names back that write_folder_atomically was replacing when its process was
/// killed, where names can't be exchanged: `.NAME.old` becomes NAME where that is missing.
void restore_replaced(const std::filesystem::path& folder);

/// Removes what a process that was killed while writing left in `folder`: the hidden temporary names of
/// AtomicFile and write_folder_atomically, after restore_replaced(). Call it only while nothing else writes
/// there.
void remove_temporaries(const std::filesystem::path& folder);

/// A file that lines are appended to, each written at once and whole (metrics.jsonl).
class AppendFile {
 public:
  /// Opens or creates. Throws IoError.
  explicit AppendFile(const std::filesystem::path& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  /// Appends `line` and a line end. Throws IoError.
  void append_line(std::string_view line);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace excitor
