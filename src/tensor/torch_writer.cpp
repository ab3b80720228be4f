// Writes what torch.load reads: a zip archive of a pickle and one record for each storage.
#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <stdexcept>

#include <fmt/format.h>

#include <excitor/tensor/dtype.h>
#include <excitor/tensor/torch_file.h>
#include <excitor/util/utf8.h>

#include "pickle_writer.h"
#include "safetensors_header.h"
#include "torch_types.h"
#include "zip_writer.h"

namespace excitor {
namespace {

/// The part of one storage that the tensors of a file use, in elements.
struct Record {
  at::ScalarType type = at::kFloat;
  const std::byte* storage = nullptr;
  int64_t begin = std::numeric_limits<int64_t>::max();
  int64_t end = 0;

  int64_t count() const { return std::max<int64_t>(end - begin, 0); }
  std::span<const std::byte> bytes() const {
    const auto element = static_cast<int64_t>(c10::elementSize(type));
    if (count() == 0) return {};
    return {storage + begin * element, static_cast<size_t>(count() * element)};
  }
};

int64_t last_element(const at::Tensor& tensor) {
  int64_t last = tensor.storage_offset();
  for (int64_t d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.stride(d);
  return last;
}

/// Pickles a value and collects the storages of its tensors.
class TorchPickler {
 public:
  explicit TorchPickler(const TorchValue& root) {
    collect(root);
    write(root);
  }

  std::string finish() && { return std::move(pickle_).finish(); }
  const std::vector<Record>& records() const { return records_; }

 private:
  using RecordKey = std::pair<const void*, at::ScalarType>;

  /// A first walk: which parts of which storages are used. Tensors in the order of the second walk.
  void collect(const TorchValue& value) {
    if (value.is_tensor()) collect_tensor(value.tensor());
    if (value.is_list()) {
      for (const TorchValue& item : value.list()) collect(item);
    }
    if (!value.is_dict()) return;
    std::set<std::string_view> keys;
    for (const auto& [key, member] : value.dict()) {
      if (!keys.insert(key).second)
        throw std::logic_error("write_torch_file: a second member " + quote_name(key));
      collect(member);
    }
  }

  void collect_tensor(const at::Tensor& original) {
    if (!original.defined() || original.layout() != at::kStrided)
      throw std::logic_error("write_torch_file: an undefined or a sparse tensor");
    if (torch_storage_name(original.scalar_type()).empty() || original.is_complex()) {
      throw std::logic_error(
          fmt::format("write_torch_file: a tensor of type {}", dtype_name(original.scalar_type())));
    }
    tensors_.push_back(original.detach().to(at::kCPU));
    const at::Tensor& tensor = tensors_.back();
    const RecordKey key{tensor.storage().unsafeGetStorageImpl(), tensor.scalar_type()};
    const auto [found, is_new] = record_of_.emplace(key, records_.size());
    if (is_new) {
      records_.push_back(
          {.type = tensor.scalar_type(), .storage = static_cast<const std::byte*>(tensor.storage().data())});
    }
    record_of_tensor_.push_back(found->second);
    if (tensor.numel() == 0) return;
    Record& record = records_[found->second];
    record.begin = std::min(record.begin, tensor.storage_offset());
    record.end = std::max(record.end, last_element(tensor) + 1);
  }

  void write(const TorchValue& value) {
    if (value.is_null())
      pickle_.none();
    else if (value.is_boolean())
      pickle_.boolean(value.boolean());
    else if (value.is_integer())
      pickle_.integer(value.integer());
    else if (value.is_number())
      pickle_.number(value.number());
    else if (value.is_string())
      write_string(value.string());
    else if (value.is_tensor())
      write_tensor();
    else if (value.is_list())
      write_list(value.list());
    else
      write_dict(value.dict());
  }

  void write_string(const std::string& text) {
    if (text.size() > std::numeric_limits<uint32_t>::max() || find_invalid_utf8(text) != std::string::npos)
      throw std::logic_error("write_torch_file: a string that is too long or not UTF-8");
    pickle_.string(text);
  }

  void write_list(const TorchValue::List& list) {
    pickle_.empty_list();
    pickle_.mark();
    for (const TorchValue& item : list) write(item);
    pickle_.append_to_list();
  }

  void write_dict(const TorchValue::Dict& dict) {
    pickle_.empty_dict();
    pickle_.mark();
    for (const auto& [key, value] : dict) {
      write_string(key);
      write(value);
    }
    pickle_.set_in_dict();
  }

  void write_sizes(at::IntArrayRef values) {
    pickle_.mark();
    for (const int64_t value : values) pickle_.integer(value);
    pickle_.end_tuple();
  }

  /// ("storage", its type, key, device, number of elements)
  void write_storage(size_t record) {
    pickle_.mark();
    pickle_.string("storage");
    pickle_.global("torch", torch_storage_name(records_[record].type));
    pickle_.string(std::to_string(record));
    pickle_.string("cpu");
    pickle_.integer(records_[record].count());
    pickle_.end_tuple();
    pickle_.persistent_id();
  }

  /// _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, backward_hooks) of the next tensor.
  void write_tensor() {
    const at::Tensor& tensor = tensors_[next_tensor_];
    const size_t record = record_of_tensor_[next_tensor_++];
    pickle_.global("torch._utils", "_rebuild_tensor_v2");
    pickle_.mark();
    write_storage(record);
    pickle_.integer(tensor.numel() == 0 ? 0 : tensor.storage_offset() - records_[record].begin);
    write_sizes(tensor.sizes());
    write_sizes(tensor.strides());
    pickle_.boolean(false);
    pickle_.global("collections", "OrderedDict");
    pickle_.empty_tuple();
    pickle_.call();
    pickle_.end_tuple();
    pickle_.call();
  }

  PickleWriter pickle_;
  std::vector<at::Tensor> tensors_;  // on the CPU, kept until the records are written
  std::vector<size_t> record_of_tensor_;
  std::vector<Record> records_;
  std::map<RecordKey, size_t> record_of_;
  size_t next_tensor_ = 0;
};

}  // namespace

void write_torch_file(const std::filesystem::path& path, const TorchValue& value) {
  TorchPickler pickler(value);
  const std::vector<Record> records = pickler.records();
  const std::string pickle = std::move(pickler).finish();
  ZipWriter archive(path);
  const auto add_text = [&](const std::string& name, std::string_view text) {
    archive.add("archive/" + name, std::as_bytes(std::span(text)));
  };
  add_text("data.pkl", pickle);
  add_text("byteorder", "little");
  for (size_t i = 0; i < records.size(); ++i)
    archive.add("archive/data/" + std::to_string(i), records[i].bytes());
  add_text("version", "3\n");
  archive.commit();
}

}  // namespace excitor
