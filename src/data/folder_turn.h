// Processes that would fill the same folder take turns.
#pragma once

#include <filesystem>

namespace excitor {

/// Makes a folder and holds it for this process; waits while another process does. File systems that know no
/// locks are used without.
class FolderTurn {
 public:
  /// Throws IoError when the folder can't be made, Interrupted after SIGINT or SIGTERM where StopSignals
  /// watches for them.
  explicit FolderTurn(const std::filesystem::path& folder);
  ~FolderTurn();
  FolderTurn(const FolderTurn&) = delete;
  FolderTurn& operator=(const FolderTurn&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace excitor
