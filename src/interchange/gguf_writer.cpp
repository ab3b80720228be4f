// The layout: "GGUF", u32 version, u64 tensors, u64 keys; the keys; name, dimensions (fastest first), type
// and offset of each tensor; padding; the data. All numbers are little-endian.
#include <bit>
#include <cstring>
#include <set>
#include <stdexcept>

#include <excitor/interchange/gguf.h>
#include <excitor/util/files.h>

namespace excitor {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;  // ggml's, where general.alignment does not say otherwise
constexpr size_t kLongestName = 63;

enum class ValueType : uint32_t { uint32 = 4, float32 = 6, string = 8 };
enum class TensorType : uint32_t { float32 = 0 };

uint64_t padded(uint64_t size) {
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

/// Bytes of a header that grows.
class HeaderBytes {
 public:
  template <class Number>
  void number(Number value) {
    char bytes[sizeof(Number)];
    std::memcpy(bytes, &value, sizeof(Number));
    bytes_.append(bytes, sizeof(Number));
  }
  void text(const std::string& value) {
    number<uint64_t>(value.size());
    bytes_ += value;
  }
  void raw(std::string_view value) { bytes_ += value; }
  void pad() { bytes_.resize(padded(bytes_.size()), '\0'); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

void add_value(HeaderBytes& header, const GgufValue& entry) {
  header.text(entry.key);
  if (const auto* integer = std::get_if<uint32_t>(&entry.value)) {
    header.number(ValueType::uint32);
    header.number(*integer);
  } else if (const auto* real = std::get_if<float>(&entry.value)) {
    header.number(ValueType::float32);
    header.number(*real);
  } else {
    header.number(ValueType::string);
    header.text(std::get<std::string>(entry.value));
  }
}

void add_tensor(HeaderBytes& header, const NamedTensor& tensor, uint64_t offset) {
  header.text(tensor.name);
  header.number(static_cast<uint32_t>(tensor.tensor.dim()));
  for (int64_t i = tensor.tensor.dim() - 1; i >= 0; --i)
    header.number(static_cast<uint64_t>(tensor.tensor.size(i)));
  header.number(TensorType::float32);
  header.number(offset);
}

void check(const std::vector<GgufValue>& values, const std::vector<NamedTensor>& tensors) {
  std::set<std::string> keys, names;
  for (const GgufValue& entry : values) {
    if (!keys.insert(entry.key).second) throw std::logic_error("write_gguf: a second key " + entry.key);
  }
  for (const auto& [name, tensor] : tensors) {
    if (name.size() > kLongestName) throw std::logic_error("write_gguf: too long a name: " + name);
    if (!names.insert(name).second) throw std::logic_error("write_gguf: a second tensor " + name);
    if (tensor.scalar_type() != at::kFloat) throw std::logic_error("write_gguf: not float32: " + name);
  }
}

HeaderBytes make_header(const std::vector<GgufValue>& values, const std::vector<NamedTensor>& tensors) {
  HeaderBytes header;
  header.raw("GGUF");
  header.number(kVersion);
  header.number<uint64_t>(tensors.size());
  header.number<uint64_t>(values.size());
  for (const GgufValue& value : values) add_value(header, value);
  uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    add_tensor(header, tensor, offset);
    offset += padded(tensor.tensor.nbytes());
  }
  header.pad();
  return header;
}

void write_data(AtomicFile& file, const at::Tensor& tensor) {
  const at::Tensor data = tensor.to(at::kCPU).contiguous();
  file.write({static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes()});
  file.write(std::string(padded(data.nbytes()) - data.nbytes(), '\0'));
}

}  // namespace

void write_gguf(const std::filesystem::path& path, const std::vector<GgufValue>& values,
                const std::vector<NamedTensor>& tensors) {
  check(values, tensors);
  AtomicFile file(path);
  file.write(make_header(values, tensors).bytes());
  for (const NamedTensor& tensor : tensors) write_data(file, tensor.tensor);
  file.commit();
}

}  // namespace excitor
