#include "torch_objects.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <unordered_map>

#include <ATen/ops/as_strided.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <excitor/tensor/dtype.h>
#include <excitor/tensor/mapped_tensor.h>
#include <excitor/util/error.h>

#include "safetensors_header.h"
#include "torch_types.h"

namespace excitor {
namespace {

using Kind = PickleNode::Kind;
constexpr int kMostLevels = 64;
constexpr size_t kMostValues = 1'000'000, kMostTextBytes = 256'000'000;
constexpr size_t kMostDimensions = 64, kMostPlaceBytes = 400;
/// A tensor whose strides show some elements several times may be larger than its storage, up to this.
constexpr int64_t kMostExpandedElements = int64_t{1} << 20;

constexpr std::array<std::string_view, 9> kFunctions{
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2",
    "torch.Size",
    "torch.device",
    "collections.OrderedDict",
};
constexpr std::array<std::string_view, 2> kClasses{"torch.Tensor", "torch.nn.parameter.Parameter"};

/// A storage as the pickle names it.
struct Storage {
  std::string key;
  at::ScalarType type;
  bool typed = false;  ///< false: the tensor says the type, and counts are bytes
  int64_t bytes = 0;
};

/// Where the elements of a tensor lie in its storage.
struct Layout {
  int64_t offset = 0;
  std::vector<int64_t> sizes, strides;
};

class TorchObjects {
 public:
  TorchObjects(const PickleTree& tree, const TorchStorages& storages) : tree_(tree), storages_(storages) {}

  TorchValue value(PickleIndex index, const std::string& place, int level) {
    if (level > kMostLevels)
      fail(place, fmt::format("values nest deeper than {} levels, or one holds itself", kMostLevels));
    if (++values_ > kMostValues) fail(place, fmt::format("there are more than {} values", kMostValues));
    TorchValue value = make(index, place, level);
    value.set_place(place);
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& place, const std::string& fault) const {
    throw CheckpointError(fmt::format("{}: {}; {}", place, fault, kDamaged));
  }

  TorchValue make(PickleIndex index, const std::string& place, int level) {
    const PickleNode& node = tree_[index];
    switch (node.kind) {
      case Kind::none:
        return {};
      case Kind::boolean:
        return node.integer != 0;
      case Kind::integer:
        return node.integer;
      case Kind::number:
        return node.number;
      case Kind::string:
      case Kind::global:
        return counted(node.text, place);
      case Kind::list:
      case Kind::tuple:
        return list(node, place, level);
      case Kind::dict:
        return dict(node, place, level);
      case Kind::persistent:
        return whole_storage(index, place);
      case Kind::call:
        return call(index, place, level);
    }
    fail(place, "an unknown value");
  }

  const std::string& counted(const std::string& text, const std::string& place) {
    text_bytes_ += text.size();
    if (text_bytes_ > kMostTextBytes) fail(place, fmt::format("more than {} bytes of text", kMostTextBytes));
    return text;
  }

  static std::string member_place(const std::string& place, const std::string& key) {
    constexpr size_t kShown = 100;
    return place.size() > kMostPlaceBytes ? place : place + ": " + key.substr(0, kShown);
  }

  TorchValue list(const PickleNode& node, const std::string& place, int level) {
    TorchValue::List list;
    list.reserve(std::min(node.items.size(), kMostValues));
    for (size_t i = 0; i < node.items.size(); ++i)
      list.push_back(value(node.items[i], member_place(place, fmt::format("[{}]", i)), level + 1));
    return list;
  }

  /// A key that comes again replaces the earlier value, as in Python.
  TorchValue dict(const PickleNode& node, const std::string& place, int level) {
    TorchValue::Dict dict;
    std::unordered_map<std::string, size_t> places;
    for (size_t i = 0; i < node.items.size(); i += 2) {
      std::string key = dict_key(tree_[node.items[i]], place);
      TorchValue member = value(node.items[i + 1], member_place(place, key), level + 1);
      const auto [found, is_new] = places.emplace(key, dict.size());
      if (is_new)
        dict.emplace_back(std::move(key), std::move(member));
      else
        dict[found->second].second = std::move(member);
    }
    return dict;
  }

  std::string dict_key(const PickleNode& node, const std::string& place) {
    if (node.kind == Kind::integer) return std::to_string(node.integer);
    if (node.kind == Kind::string) return counted(node.text, place);
    fail(place, "a key of a dict is neither a string nor an integer");
  }

  // Calls

  /// The arguments of a call; at least `least` of them.
  const std::vector<PickleIndex>& arguments(const PickleNode& tuple, size_t least,
                                            const std::string& place) const {
    if (tuple.kind != Kind::tuple || tuple.items.size() < least)
      fail(place, fmt::format("a call lacks arguments, expected {}", least));
    return tuple.items;
  }

  TorchValue call(PickleIndex index, const std::string& place, int level) {
    if (const auto known = tensors_.find(index); known != tensors_.end()) return known->second;
    const PickleNode& node = tree_[index];
    TorchValue result = call(tree_[node.items[0]], tree_[node.items[1]], place, level);
    if (result.is_tensor()) tensors_.emplace(index, result.tensor());
    return result;
  }

  TorchValue call(const PickleNode& callee, const PickleNode& tuple, const std::string& place, int level) {
    const std::string& name = callee.text;
    if (name == "torch._utils._rebuild_tensor") return tensor(arguments(tuple, 4, place), false, place);
    if (name == "torch._utils._rebuild_tensor_v2") return tensor(arguments(tuple, 4, place), false, place);
    if (name == "torch._utils._rebuild_tensor_v3") return tensor(arguments(tuple, 7, place), true, place);
    if (name == "torch._tensor._rebuild_from_type_v2") {
      // (function, type, arguments, state): a tensor with attributes, which are left out.
      const auto& all = arguments(tuple, 3, place);
      if (tree_[all[0]].kind != Kind::global || level > kMostLevels) fail(place, "a call without a name");
      return call(tree_[all[0]], tree_[all[2]], place, level + 1);
    }
    if (name.starts_with("torch._utils._rebuild_parameter") || name == "torch.Size" || name == "torch.device")
      return value(arguments(tuple, 1, place)[0], place, level + 1);
    fail(place, fmt::format("{} is called, which no weights need", quote_name(name)));
  }

  // Storages and tensors

  const PickleNode& member(const PickleNode& tuple, size_t position, Kind kind,
                           const std::string& place) const {
    if (position >= tuple.items.size() || tree_[tuple.items[position]].kind != kind)
      fail(place, fmt::format("a storage's description has no proper part {}", position));
    return tree_[tuple.items[position]];
  }

  /// ("storage", its type, key, device, number of elements)
  Storage storage(PickleIndex index, const std::string& place) const {
    const PickleNode& node = tree_[index];
    if (node.kind != Kind::persistent) fail(place, "a tensor without a storage");
    const PickleNode& id = tree_[node.items[0]];
    if (id.kind != Kind::tuple || member(id, 0, Kind::string, place).text != "storage")
      fail(place, "something other than a storage lies outside the pickle");
    const std::string& type_name = member(id, 1, Kind::global, place).text;
    const std::optional<at::ScalarType> type = torch_storage_type(type_name);
    const bool typed = type.has_value();
    if (!typed && !is_untyped_storage(type_name))
      fail(place, fmt::format("{} is no type of a storage", quote_name(type_name)));
    const int64_t count = member(id, 4, Kind::integer, place).integer;
    const auto element_bytes = typed ? static_cast<int64_t>(c10::elementSize(*type)) : 1;
    if (count < 0 || count > std::numeric_limits<int64_t>::max() / element_bytes)
      fail(place, fmt::format("a storage of {} elements", count));
    return {.key = member(id, 2, Kind::string, place).text,
            .type = type.value_or(at::kByte),
            .typed = typed,
            .bytes = count * element_bytes};
  }

  std::span<const std::byte> storage_data(const Storage& storage, const std::string& place) const {
    const std::string name = storages_.root + "data/" + storage.key;
    const ZipEntry* entry = storages_.archive.find(name);
    if (entry == nullptr) fail(place, fmt::format("the archive lacks its storage {}", quote_name(name)));
    if (entry->data.size() != static_cast<uint64_t>(storage.bytes)) {
      fail(place, fmt::format("its storage {} has {} bytes, expected {}", quote_name(name),
                              entry->data.size(), storage.bytes));
    }
    return entry->data;
  }

  /// The storage as a flat tensor; one for each type that it is used with.
  const at::Tensor& flat(const Storage& storage, const std::string& place) {
    const auto data = storage_data(storage, place);
    const auto element_bytes = c10::elementSize(storage.type);
    if (data.size() % element_bytes != 0) fail(place, "its storage does not hold whole elements");
    at::Tensor& flat = flat_[storage.key + ":" + dtype_name(storage.type)];
    if (!flat.defined()) {
      flat = tensor_over_file(storages_.archive.file(), data,
                              {static_cast<int64_t>(data.size() / element_bytes)}, storage.type);
    }
    return flat;
  }

  TorchValue whole_storage(PickleIndex index, const std::string& place) {
    return flat(storage(index, place), place);
  }

  std::vector<int64_t> non_negative(PickleIndex index, const char* what, const std::string& place) const {
    const PickleNode* node = &tree_[index];
    // torch.Size((2, 3))
    if (node->kind == Kind::call && tree_[node->items[0]].text == "torch.Size")
      node = &tree_[arguments(tree_[node->items[1]], 1, place)[0]];
    if (node->kind != Kind::tuple && node->kind != Kind::list)
      fail(place, fmt::format("its {} are no tuple", what));
    std::vector<int64_t> values;
    for (const PickleIndex item : node->items) {
      if (tree_[item].kind != Kind::integer || tree_[item].integer < 0)
        fail(place, fmt::format("its {} are not integers from 0 on", what));
      values.push_back(tree_[item].integer);
    }
    return values;
  }

  /// (storage, offset, sizes, strides, requires_grad, hooks[, dtype])
  at::Tensor tensor(const std::vector<PickleIndex>& all, bool names_type, const std::string& place) {
    Storage from = storage(all[0], place);
    if (names_type) {
      const std::optional<at::ScalarType> type = torch_dtype(tree_[all[6]].text);
      if (!type) fail(place, "its dtype is unknown");
      from.type = *type;
    }
    if (tree_[all[1]].kind != Kind::integer || tree_[all[1]].integer < 0)
      fail(place, "its offset in the storage is no integer from 0 on");
    const Layout layout{.offset = tree_[all[1]].integer,
                        .sizes = non_negative(all[2], "sizes", place),
                        .strides = non_negative(all[3], "strides", place)};
    const at::Tensor& storage = flat(from, place);
    if (element_count(layout, storage.numel(), place) == 0) return at::empty(layout.sizes, from.type);
    return storage.as_strided(layout.sizes, layout.strides, layout.offset);
  }

  /// The number of elements, after a check that all lie in a storage of `available` elements.
  int64_t element_count(const Layout& layout, int64_t available, const std::string& place) const {
    if (layout.sizes.size() != layout.strides.size() || layout.sizes.size() > kMostDimensions)
      fail(place, fmt::format("{} sizes and {} strides", layout.sizes.size(), layout.strides.size()));
    const bool empty = std::ranges::find(layout.sizes, 0) != layout.sizes.end();
    int64_t count = 1, last = layout.offset;
    bool too_large = false;
    for (size_t d = 0; d < layout.sizes.size(); ++d) {
      const int64_t size = std::max<int64_t>(layout.sizes[d], 1);
      int64_t step = 0;
      too_large = too_large || __builtin_mul_overflow(count, size, &count) ||
                  __builtin_mul_overflow(size - 1, layout.strides[d], &step) ||
                  __builtin_add_overflow(last, step, &last);
    }
    if (!too_large && empty) return 0;
    if (too_large || last >= available || count > std::max(available, kMostExpandedElements)) {
      fail(place, fmt::format("sizes [{}], strides [{}], offset {} do not fit its storage of {} elements",
                              fmt::join(layout.sizes, ", "), fmt::join(layout.strides, ", "), layout.offset,
                              available));
    }
    return count;
  }

  const PickleTree& tree_;
  const TorchStorages& storages_;
  size_t values_ = 0, text_bytes_ = 0;
  std::unordered_map<PickleIndex, at::Tensor> tensors_;
  std::unordered_map<std::string, at::Tensor> flat_;  // by key and type
};

}  // namespace

bool is_allowed_global(std::string_view name) {
  return std::ranges::find(kFunctions, name) != kFunctions.end() ||
         std::ranges::find(kClasses, name) != kClasses.end() || torch_storage_type(name) ||
         is_untyped_storage(name) || torch_dtype(name);
}

TorchValue make_torch_value(const PickleTree& tree, const TorchStorages& storages) {
  return TorchObjects(tree, storages).value(tree.root, storages.archive.file()->path().string(), 0);
}

}  // namespace excitor
