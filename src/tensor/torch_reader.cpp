// Reads what torch.save wrote: finds the pickle and the storages in the archive, and names files of other
// kinds.
#include <fmt/format.h>

#include <excitor/tensor/torch_file.h>
#include <excitor/util/error.h>

#include "pickle_reader.h"
#include "safetensors_header.h"
#include "torch_objects.h"
#include "zip_archive.h"

namespace excitor {
namespace {

constexpr std::string_view kZipMagic = "PK\x03\x04";
/// The integer that marks torch's format before 1.6, as every pickle protocol from 2 on writes it.
constexpr std::string_view kLegacyMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The first thing in the file is that integer: behind the protocol, and from protocol 4 on behind the length
/// of a frame.
bool is_legacy(std::string_view text) {
  constexpr size_t kProtocol = 2, kFrame = 9;
  return text.starts_with('\x80') &&
         text.substr(0, kProtocol + kFrame + kLegacyMagic.size()).find(kLegacyMagic) != text.npos;
}

/// The same in one line of Python that the user may run.
std::string python_line(std::string_view load, const std::string& file) {
  return fmt::format("python3 -c 'import torch; torch.save({}, \"{}.new\")'", load, file);
}

[[noreturn]] void fail_legacy(const std::string& name, std::string_view text) {
  // The reader that runs no code knows the protocols up to 3.
  const bool needs_trust = text[1] > 3;
  const std::string load = fmt::format("torch.load(\"{}\", map_location=\"cpu\"{})", name,
                                       needs_trust ? ", weights_only=False" : "");
  throw CheckpointError(fmt::format(
      "{}: is in torch's format from before version 1.6; convert it{}: {}", name,
      needs_trust ? " (only if you trust its origin: it may run code)" : "", python_line(load, name)));
}

void check_kind(const MappedFile& file) {
  const std::string name = file.path().string();
  const std::string_view text = file.text();
  if (text.starts_with(kZipMagic)) return;
  if (is_legacy(text)) fail_legacy(name, text);
  if (text.starts_with("version https://git-lfs")) {
    throw CheckpointError(
        fmt::format("{}: a Git LFS pointer, not the weights: run `git lfs pull` in its folder", name));
  }
  throw CheckpointError(fmt::format("{}: {}, expected a zip archive of torch.save; {}", name,
                                    text.empty() ? "is empty"
                                    : text[0] == '\x80'
                                        ? "is a bare pickle, which may run code when it is loaded"
                                        : "is no file of torch.save",
                                    kDamaged));
}

std::shared_ptr<const MappedFile> map_torch_file(const std::filesystem::path& path) {
  auto file = std::make_shared<const MappedFile>(path);
  check_kind(*file);
  return file;
}

/// "archive/": the folder of the archive that holds data.pkl.
std::string find_root(const ZipArchive& archive, const std::string& file) {
  constexpr std::string_view kPickle = "/data.pkl";
  for (const auto& [name, entry] : archive.entries()) {
    if (name.ends_with(kPickle) && name.find('/') == name.size() - kPickle.size())
      return name.substr(0, name.size() - kPickle.size() + 1);
  }
  throw CheckpointError(
      fmt::format("{}: a zip archive without data.pkl, so torch.save did not write it; give the file itself, "
                  "not an archive that holds it",
                  file));
}

void refuse_torchscript(const ZipArchive& archive, const std::string& root, const std::string& file) {
  const auto code = archive.entries().lower_bound(root + "code/");
  const bool has_code = code != archive.entries().end() && code->first.starts_with(root + "code/");
  if (!has_code && !archive.entries().contains(root + "constants.pkl")) return;
  throw CheckpointError(fmt::format(
      "{}: a TorchScript program (torch.jit.save), not weights alone; extract them: {}", file,
      python_line(fmt::format("torch.jit.load(\"{}\", map_location=\"cpu\").state_dict()", file), file)));
}

void check_byte_order(const ZipArchive& archive, const std::string& root, const std::string& file) {
  const ZipEntry* entry = archive.find(root + "byteorder");
  if (entry == nullptr) return;  // older versions of torch write none, on little-endian machines
  const std::string_view order(reinterpret_cast<const char*>(entry->data.data()), entry->data.size());
  if (order == "little") return;
  throw CheckpointError(fmt::format(
      "{}: its byte order is {}, expected \"little\"; load and save it with torch on this machine", file,
      quote_name(order)));
}

}  // namespace

TorchValue read_torch_file(const std::filesystem::path& path) {
  const std::string file = path.string();
  const ZipArchive archive(map_torch_file(path));
  const std::string root = find_root(archive, file);
  refuse_torchscript(archive, root, file);
  check_byte_order(archive, root, file);
  const std::string pickle = root + "data.pkl";
  const ZipEntry& entry = *archive.find(pickle);
  check_crc(file, pickle, entry);
  const PickleTree tree = read_pickle({.bytes = entry.data, .file = file, .allows = is_allowed_global});
  return make_torch_value(tree, {.archive = archive, .root = root});
}

void check_torch_file(const std::filesystem::path& path) {
  const ZipArchive archive(map_torch_file(path));
  for (const auto& [name, entry] : archive.entries()) check_crc(path.string(), name, *archive.find(name));
}

}  // namespace excitor
