#include <excitor/util/sha256.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <fmt/core.h>
#include <openssl/evp.h>

#include <excitor/util/error.h>

namespace excitor {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

namespace {

/// Nothing here depends on input: a failure means a libcrypto without SHA-256, or no memory.
void require(int result) {
  if (result != 1) throw std::runtime_error("SHA-256: OpenSSL's libcrypto refused the operation");
}

}  // namespace

Sha256::Sha256() : state_(std::make_unique<State>()) {
  require(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr));
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()));
}

void Sha256::update(std::string_view text) {
  update(std::as_bytes(std::span(text.data(), text.size())));
}

std::string Sha256::hex_digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  require(EVP_DigestFinal_ex(state_->context, digest.data(), &size));
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string sha256_hex(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex_digest();
}

std::string sha256_of_file(const std::filesystem::path& path) {
  const std::unique_ptr<std::FILE, decltype([](std::FILE* file) { std::fclose(file); })> file(
      std::fopen(path.c_str(), "rb"));
  if (!file) throw IoError(fmt::format("{}: cannot open: {}", path.string(), std::strerror(errno)));
  Sha256 hash;
  std::vector<char> buffer(size_t{1} << 18);
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get()))
    hash.update(std::string_view(buffer.data(), count));
  if (std::ferror(file.get()) != 0)
    throw IoError(fmt::format("{}: cannot read: {}", path.string(), std::strerror(errno)));
  return hash.hex_digest();
}

}  // namespace excitor
