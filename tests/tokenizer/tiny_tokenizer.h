// Tokenizers for tests: trained on the spot, or lying in the shared folder.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace excitor::test {

/// A serialised SentencePiece model made like LLaMA's: BPE, byte fallback, no normalisation, <unk> 0, <s> 1,
/// </s> 2. `changes` are further options of SentencePiece's trainer.
std::string train_llama_like_model(const std::map<std::string, std::string>& changes = {});

/// A file of $EXCITOR_SHARED_DIR, or of ../shared beside the repository; nothing where it is absent.
std::optional<std::filesystem::path> find_shared_file(std::string_view relative_path);

/// A folder that is gone with the object.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file and returns its path.
  std::filesystem::path write(std::string_view name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

}  // namespace excitor::test
