// Files of torch.save (.pth, .pt, .bin): a zip archive of one pickle and the tensors' storages. Read and
// written without Python; nothing in a file is ever run.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

namespace excitor {

/// What a torch file holds: a tree of Python's plain values with tensors as leaves. A value that was read
/// knows its place ("lora.pth: model: layers.0.weight"), which messages begin with.
class TorchValue {
 public:
  using List = std::vector<TorchValue>;
  /// In the order of the file. Integer keys are read as their decimal text.
  using Dict = std::vector<std::pair<std::string, TorchValue>>;

  TorchValue() = default;  ///< None
  TorchValue(std::same_as<bool> auto value) : value_(value) {}
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool>) TorchValue(Integer value) : value_(static_cast<int64_t>(value)) {}
  TorchValue(double value) : value_(value) {}
  TorchValue(std::string value) : value_(std::move(value)) {}
  TorchValue(const char* value) : value_(std::string(value)) {}
  TorchValue(at::Tensor value) : value_(std::move(value)) {}
  TorchValue(List value) : value_(std::move(value)) {}  ///< a Python list; tuples are read as lists
  TorchValue(Dict value) : value_(std::move(value)) {}
  static TorchValue empty_dict() { return Dict(); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_boolean() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_tensor() const { return std::holds_alternative<at::Tensor>(value_); }
  bool is_list() const { return std::holds_alternative<List>(value_); }
  bool is_dict() const { return std::holds_alternative<Dict>(value_); }

  // Each throws CheckpointError (place, what was found, what was expected) when the value is of another kind.
  bool boolean() const;
  int64_t integer() const;
  double number() const;  ///< an integer too
  const std::string& string() const;
  const at::Tensor& tensor() const;
  const List& list() const;
  const Dict& dict() const;

  /// The member of a dict, or null when there is none. Throws CheckpointError when this is no dict.
  const TorchValue* find(std::string_view key) const;
  /// The same, but throws CheckpointError that lists the keys when there is none.
  const TorchValue& at(std::string_view key) const;
  /// Appends a member to a dict, or replaces it. std::logic_error when this is no dict.
  void set(std::string key, TorchValue value);

  /// "a tensor float16 [3, 4]", "the integer 3", "a dict of 5": as a message shows it.
  std::string describe() const;
  /// Where the value was read; empty for one that was made here.
  const std::string& place() const { return place_; }
  void set_place(std::string place) { place_ = std::move(place); }

 private:
  template <class T>
  const T& get(const char* expected) const;

  std::variant<std::monostate, bool, int64_t, double, std::string, at::Tensor, List, Dict> value_;
  std::string place_;
};

/// Reads a file of torch.save (torch 1.6 or newer). Its pickle may hold plain values, lists, tuples, dicts,
/// OrderedDicts, tensors, Parameters, storages' types, dtypes and sizes; attributes set on a dict (the
/// _metadata of a state_dict) are dropped, a dtype is read as its name ("torch.float16"). The data of the
/// tensors is the mapped file, which they keep alive; tensors that share a storage share it here. Never write
/// to them: the mapping is read-only.
/// Sizes, offsets and overlaps in the archive, the checksum of the pickle, and every tensor's extent in its
/// storage are checked; the checksums of the data are not (that takes longer than loading; see
/// check_torch_file).
/// Throws CheckpointError: not such a file, damaged, anything else in the pickle (by its name); IoError.
TorchValue read_torch_file(const std::filesystem::path& path);

/// Compares the checksum of every record, which reads the whole file. Throws as read_torch_file.
void check_torch_file(const std::filesystem::path& path);

/// Writes, atomically, a file that torch.load(weights_only=True) reads. Tensors of one storage share a
/// record, which holds the part of the storage that they use; their strides are kept; those of another device
/// are copied first. Throws IoError; std::logic_error for two equal keys, an undefined or sparse tensor, or a
/// type other than float16/32/64, bfloat16, int8/16/32/64, uint8, bool.
void write_torch_file(const std::filesystem::path& path, const TorchValue& value);

}  // namespace excitor
