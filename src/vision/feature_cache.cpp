#include <excitor/vision/feature_cache.h>

#include <algorithm>
#include <cstring>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/tensor/safetensors.h>
#include <excitor/util/error.h>
#include <excitor/util/file_stamp.h>
#include <excitor/util/files.h>
#include <excitor/util/log.h>
#include <excitor/util/sha256.h>
#include <excitor/vision/known_images.h>

namespace excitor {
namespace {

namespace fs = std::filesystem;

/// Of a chunk: a minute's work of a large tower on a few cores is the most that an interruption costs.
constexpr int64_t kChunkImages = 128;
constexpr int64_t kDigestBytes = 32;

/// Hexadecimal digits <-> bytes.
void pack_digest(const std::string& hex, uint8_t* bytes) {
  for (int64_t i = 0; i < kDigestBytes; ++i)
    bytes[i] = static_cast<uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
}

std::string unpack_digest(const uint8_t* bytes) {
  std::string hex;
  for (int64_t i = 0; i < kDigestBytes; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

/// One file on its way into the cache.
struct Prepared {
  std::string digest;
  at::Tensor pixels;  // [3,S,S]; undefined when the features are there already
  std::string fault;
  std::optional<FileStamp> stamp;  // of what was read and may be remembered
};

Prepared prepare(const fs::path& file, const FeatureCache& cache, const KnownImages& known,
                 const Preprocessing& how) {
  Prepared prepared;
  try {
    const FileStamp stamp = stamp_of(file);
    if (const auto digest = known.digest_of(file, stamp); digest && cache.find(*digest)) {
      prepared.digest = *digest;
      return prepared;
    }
    const MappedFile content(file);
    prepared.digest = sha256_hex(content.bytes());
    if (is_settled(stamp) && stamp_of(file) == stamp) prepared.stamp = stamp;
    if (!cache.find(prepared.digest))
      prepared.pixels = preprocess(decode_image(content.bytes(), file.string()), how);
  } catch (const Error& error) {
    prepared.fault = error.what();
    prepared.digest.clear();
  }
  return prepared;
}

}  // namespace

struct FeatureCache::Pending {
  std::vector<std::string> digests;
  std::vector<at::Tensor> features;  // [rows,width] each

  bool contains(const std::string& digest) const {
    return std::find(digests.begin(), digests.end(), digest) != digests.end();
  }
};

FeatureCache::FeatureCache(const fs::path& folder, const ImageEncoder& encoder)
    : encoder_(encoder), folder_(folder / sha256_hex(encoder.key().dump()).substr(0, 32)) {
  make_writable_folder(folder_);
  if (!fs::exists(folder_ / "key.json"))
    write_file_atomically(folder_ / "key.json", encoder.key().dump(2) + "\n");
  std::vector<fs::path> chunks;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().extension() == ".safetensors" && !entry.path().filename().string().starts_with('.'))
      chunks.push_back(entry.path());
  }
  std::sort(chunks.begin(), chunks.end());
  for (const fs::path& chunk : chunks) {
    if (const auto damage = open_or_explain(chunk)) {
      log::warning(fmt::format("{}; its images are encoded again", *damage));
      std::error_code ignored;
      fs::remove(chunk, ignored);
    }
  }
}

std::optional<std::string> FeatureCache::open_or_explain(const fs::path& chunk) {
  try {
    open_chunk(chunk);
  } catch (const CheckpointError& error) {
    return error.what();
  } catch (const DataError& error) {
    return error.what();
  } catch (const IoError& error) {
    if (std::error_code gone; !fs::exists(fs::symlink_status(chunk, gone))) return error.what();
    throw IoError(
        fmt::format("{}; the features in it may be hours of work: start again once it can be read, "
                    "or remove it to encode its images again",
                    error.what()));
  }
  return std::nullopt;
}

void FeatureCache::open_chunk(const fs::path& file) {
  const auto stored = SafetensorsFile::open(file);
  const at::Tensor digests = stored->load("digests");
  const auto features = std::make_shared<const at::Tensor>(stored->load("features"));
  const std::vector<int64_t> expected{digests.size(0), encoder_.rows(), encoder_.width()};
  const bool fits = digests.scalar_type() == at::kByte && digests.dim() == 2 &&
                    digests.size(1) == kDigestBytes && features->sizes() == expected &&
                    features->scalar_type() == encoder_.type();
  if (!fits) throw DataError(fmt::format("{}: no features of this vision tower", file.string()));
  for (int64_t i = 0; i < digests.size(0); ++i) {
    places_.insert_or_assign(unpack_digest(digests.data_ptr<uint8_t>() + i * kDigestBytes),
                             Place{.chunk = features, .row = i});
  }
}

std::optional<at::Tensor> FeatureCache::find(const std::string& digest) const {
  const auto place = places_.find(digest);
  if (place == places_.end()) return std::nullopt;
  return place->second.chunk->select(0, place->second.row);
}

void FeatureCache::write_chunk(const Pending& pending) {
  if (pending.digests.empty()) return;
  const auto count = static_cast<int64_t>(pending.digests.size());
  at::Tensor digests = at::empty({count, kDigestBytes}, at::kByte);
  Sha256 name;
  for (int64_t i = 0; i < count; ++i) {
    pack_digest(pending.digests[i], digests.data_ptr<uint8_t>() + i * kDigestBytes);
    name.update(pending.digests[i]);
  }
  const fs::path file = folder_ / fmt::format("features-{}.safetensors", name.hex_digest().substr(0, 16));
  write_safetensors(file, {{"digests", digests}, {"features", at::stack(pending.features)}});
  open_chunk(file);
}

std::vector<std::string> FeatureCache::fill(const std::vector<fs::path>& files, std::vector<BadImage>& bad,
                                            const Progress& progress) {
  KnownImages known(folder_ / "images.txt");
  try {
    std::vector<std::string> digests = add_missing(files, bad, progress, known);
    known.save();
    return digests;
  } catch (...) {
    known.save();
    throw;
  }
}

std::vector<std::string> FeatureCache::add_missing(const std::vector<fs::path>& files,
                                                   std::vector<BadImage>& bad, const Progress& progress,
                                                   KnownImages& known) {
  std::vector<std::string> digests;
  const auto total = static_cast<int64_t>(files.size());
  for (int64_t begin = 0; begin < total; begin += kChunkImages) {
    const int64_t count = std::min(kChunkImages, total - begin);
    std::vector<Prepared> prepared(static_cast<size_t>(count));
    at::parallel_for(0, count, 1, [&](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; ++i)
        prepared[i] = prepare(files[begin + i], *this, known, encoder_.preprocessing());
    });
    Pending pending;
    for (int64_t i = 0; i < count; ++i) {
      const Prepared& image = prepared[i];
      digests.push_back(image.digest);
      if (!image.fault.empty()) bad.push_back({.file = files[begin + i], .reason = image.fault});
      if (image.fault.empty() && image.stamp) known.note(files[begin + i], *image.stamp, image.digest);
      if (!image.pixels.defined() || pending.contains(image.digest)) continue;
      pending.features.push_back(encoder_.encode(image.pixels));
      pending.digests.push_back(image.digest);
    }
    write_chunk(pending);
    if (progress) progress(begin + count, total);
  }
  return digests;
}

}  // namespace excitor
