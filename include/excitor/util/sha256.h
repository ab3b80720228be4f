// SHA-256 by OpenSSL's libcrypto.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace excitor {

/// An incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// 64 lower-case hexadecimal digits. Call once.
  std::string hex_digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The digest of one text, of bytes.
std::string sha256_hex(std::string_view text);
std::string sha256_hex(std::span<const std::byte> bytes);
/// The digest of a file's content, which is read piece by piece. Throws IoError.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace excitor
