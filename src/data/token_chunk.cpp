#include "token_chunk.h"

#include <bit>
#include <cstring>

#include <fmt/format.h>

#include <excitor/util/error.h>

namespace excitor {
namespace {

static_assert(std::endian::native == std::endian::little, "chunks are mapped as they are");

constexpr uint64_t kMagic = 0x32304B4E48435845;  // "EXCHNK02"

struct Header {
  uint64_t magic = kMagic;
  uint64_t examples = 0;
  uint64_t tokens = 0;
  uint64_t image_bytes = 0;
};

constexpr uint64_t kMostOfEither = uint64_t{1} << 40;  // far above any chunk, and far from overflow

uint64_t bytes_of(const Header& h) {
  const uint64_t of_example = 3 * sizeof(int64_t) + sizeof(int32_t);
  const uint64_t of_token = sizeof(TokenId) + sizeof(uint8_t);
  return sizeof(Header) + 2 * sizeof(int64_t) + h.examples * of_example + h.tokens * of_token + h.image_bytes;
}

/// Takes the next `count` values of a mapped file.
template <class T>
std::span<const T> take(std::span<const std::byte>& bytes, uint64_t count) {
  const std::span<const T> values(reinterpret_cast<const T*>(bytes.data()), count);
  bytes = bytes.subspan(values.size_bytes());
  return values;
}

}  // namespace

void write_chunk(const std::filesystem::path& path, const ExampleArrays& examples) {
  const Header header{.examples = examples.labels.size(),
                      .tokens = examples.ids.size(),
                      .image_bytes = examples.image_names.size()};
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&header, 1)));
  file.write(std::as_bytes(examples.starts));
  file.write(std::as_bytes(examples.numbers));
  file.write(std::as_bytes(examples.image_starts));
  file.write(std::as_bytes(examples.labels));
  file.write(std::as_bytes(examples.ids));
  file.write(std::as_bytes(examples.supervised));
  file.write(std::as_bytes(examples.image_names));
  file.commit();
}

MappedChunk::MappedChunk(const std::filesystem::path& path) : file_(path) {
  std::span<const std::byte> bytes = file_.bytes();
  Header header;
  const bool is_whole = bytes.size() >= sizeof(header);
  if (is_whole) std::memcpy(&header, bytes.data(), sizeof(header));
  if (!is_whole || header.magic != kMagic || header.examples > kMostOfEither ||
      header.tokens > kMostOfEither || header.image_bytes > kMostOfEither || bytes_of(header) != bytes.size())
    throw DataError(fmt::format("{}: not a whole chunk of tokens", path.string()));
  bytes = bytes.subspan(sizeof(header));
  arrays_.starts = take<int64_t>(bytes, header.examples + 1);
  arrays_.numbers = take<int64_t>(bytes, header.examples);
  arrays_.image_starts = take<int64_t>(bytes, header.examples + 1);
  arrays_.labels = take<int32_t>(bytes, header.examples);
  arrays_.ids = take<TokenId>(bytes, header.tokens);
  arrays_.supervised = take<uint8_t>(bytes, header.tokens);
  arrays_.image_names = take<char>(bytes, header.image_bytes);
}

}  // namespace excitor
