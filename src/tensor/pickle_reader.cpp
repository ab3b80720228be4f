// A stack machine for pickles: what an operation would make in Python becomes a node.
#include "pickle_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/utf8.h>

#include "pickle_opcodes.h"
#include "safetensors_header.h"

namespace excitor {
namespace {

using Kind = PickleNode::Kind;
constexpr size_t kMostNodes = 4'000'000;
constexpr int kNewestProtocol = 5;

class PickleMachine {
 public:
  explicit PickleMachine(const PickleSource& source) : source_(source) {}

  PickleTree run() {
    while (!stopped_) step(static_cast<uint8_t>(take(1)[0]));
    return std::move(tree_);
  }

 private:
  // Input

  [[noreturn]] void fail(const std::string& fault) const {
    throw CheckpointError(
        fmt::format("{}: its pickle is broken at byte {}: {}; {}", source_.file, at_, fault, kDamaged));
  }

  std::span<const std::byte> take(uint64_t count) {
    if (count > source_.bytes.size() - at_) fail(fmt::format("{} more bytes are expected", count));
    const auto bytes = source_.bytes.subspan(at_, count);
    at_ += count;
    return bytes;
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string text(uint64_t count) {
    const auto bytes = take(count);
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (find_invalid_utf8(text) != std::string::npos) fail("a string is not UTF-8");
    return text;
  }

  std::string line() {
    const auto left = source_.bytes.subspan(at_);
    const auto end = std::ranges::find(left, std::byte{'\n'});
    if (end == left.end()) fail("a name has no end");
    std::string line = text(static_cast<uint64_t>(end - left.begin()));
    take(1);
    return line;
  }

  // Nodes and the stack

  PickleIndex add(PickleNode node) {
    if (tree_.nodes.size() == kMostNodes) {
      throw CheckpointError(fmt::format(
          "{}: its pickle makes more than {} values, which no model's weights do; extract the weights alone",
          source_.file, kMostNodes));
    }
    tree_.nodes.push_back(std::move(node));
    return static_cast<PickleIndex>(tree_.nodes.size() - 1);
  }

  void push(PickleNode node) { stack_.push_back(add(std::move(node))); }
  void push_integer(int64_t value) { push({.kind = Kind::integer, .integer = value}); }
  void push_boolean(bool value) { push({.kind = Kind::boolean, .integer = value ? 1 : 0}); }
  void push_string(uint64_t bytes) { push({.kind = Kind::string, .text = text(bytes)}); }

  /// What may be popped: values above the last mark.
  size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  PickleIndex top() const {
    if (available() == 0) fail("a value is missing");
    return stack_.back();
  }

  PickleIndex pop() {
    const PickleIndex index = top();
    stack_.pop_back();
    return index;
  }

  std::vector<PickleIndex> pop(size_t count) {
    if (available() < count) fail("a value is missing");
    std::vector<PickleIndex> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  std::vector<PickleIndex> pop_to_mark() {
    if (marks_.empty()) fail("a mark is missing");
    std::vector<PickleIndex> items = pop(available());
    marks_.pop_back();
    return items;
  }

  void push_tuple(std::vector<PickleIndex> items) { push({.kind = Kind::tuple, .items = std::move(items)}); }

  // Containers

  void extend(Kind kind, const std::vector<PickleIndex>& items) {
    PickleNode& target = tree_.nodes[top()];
    if (target.kind != kind) fail("members are added to something that is no list or dict");
    if (kind == Kind::dict && items.size() % 2 != 0) fail("a key has no value");
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  // Globals and calls

  /// Keys of the outermost dict whose values are being read.
  std::vector<std::string> unfinished_keys() const {
    std::vector<std::string> keys;
    if (marks_.empty() || marks_.front() != 1 || tree_[stack_.front()].kind != Kind::dict) return keys;
    for (size_t i = marks_.front(); i < stack_.size(); i += 2) {
      const PickleNode& key = tree_[stack_[i]];
      if (key.kind == Kind::string) keys.push_back(key.text);
    }
    return keys;
  }

  [[noreturn]] void refuse(const std::string& global) const {
    const std::vector<std::string> keys = unfinished_keys();
    const auto holds_weights = [](const std::string& key) {
      return key == "model" || key == "state_dict" || key == "model_state_dict" || key == "module";
    };
    const auto weights = std::ranges::find_if(keys, holds_weights);
    constexpr size_t kShown = 12;
    const std::string found =
        keys.empty()
            ? ""
            : fmt::format(" It is a whole training state ({}), not weights alone.",
                          fmt::join(keys.begin(), keys.begin() + std::min(kShown, keys.size()), ", "));
    throw CheckpointError(fmt::format(
        "{}: its pickle names {}, which is no part of weights; nothing of it was run.{} If you trust the "
        "file, "
        "extract its weights in Python: torch.save(torch.load(\"{}\", weights_only=False){}, "
        "\"weights.pth\")",
        source_.file, quote_name(global), found, source_.file,
        keys.empty() ? "" : fmt::format("[\"{}\"]", weights == keys.end() ? keys.front() : *weights)));
  }

  void push_global(const std::string& module, const std::string& name) {
    std::string global = module + "." + name;
    if (!source_.allows(global)) refuse(global);
    push({.kind = Kind::global, .text = std::move(global)});
  }

  void stack_global() {
    const std::vector<PickleIndex> words = pop(2);
    const PickleNode &module = tree_[words[0]], &name = tree_[words[1]];
    if (module.kind != Kind::string || name.kind != Kind::string) fail("a global's name is no string");
    push_global(module.text, name.text);
  }

  /// An OrderedDict is a dict at once: the operations that follow fill it.
  void call() {
    const std::vector<PickleIndex> items = pop(2);
    const PickleNode &callee = tree_[items[0]], &arguments = tree_[items[1]];
    if (callee.kind != Kind::global || arguments.kind != Kind::tuple) fail("a call without a name");
    if (callee.text == "collections.OrderedDict" && arguments.items.empty())
      return push({.kind = Kind::dict});
    push({.kind = Kind::call, .items = items});
  }

  void build() {
    pop();
    if (tree_[top()].kind != Kind::dict) fail("attributes are set on something that is no dict");
  }

  // The memo

  void put(uint32_t key) { memo_[key] = top(); }

  void get(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail(fmt::format("there is no memo {}", key));
    stack_.push_back(found->second);
  }

  // Operations

  int64_t long_integer() {
    const auto count = static_cast<uint8_t>(take(1)[0]);
    if (count > sizeof(int64_t)) fail("an integer has more than 64 bits");
    const auto bytes = take(count);
    uint64_t value = 0;
    std::memcpy(&value, bytes.data(), count);
    const bool negative = count > 0 && (bytes[count - 1] & std::byte{0x80}) != std::byte{};
    if (negative && count < sizeof value) value |= ~uint64_t{0} << (8 * count);
    return static_cast<int64_t>(value);
  }

  double big_endian_double() {
    uint64_t bits = 0;
    for (const std::byte byte : take(sizeof bits)) bits = bits << 8 | static_cast<uint64_t>(byte);
    return std::bit_cast<double>(bits);
  }

  void check_protocol() {
    const auto protocol = static_cast<int>(take(1)[0]);
    if (protocol > kNewestProtocol)
      fail(fmt::format("protocol {} is unknown, expected 2 to {}", protocol, kNewestProtocol));
  }

  void stop() {
    tree_.root = top();
    if (!marks_.empty() || stack_.size() != 1) fail("it ends with unfinished values");
    stopped_ = true;
  }

  void step(uint8_t opcode) {
    if (!step_value(opcode) && !step_container(opcode) && !step_object(opcode)) {
      --at_;
      fail(fmt::format("operation {:#04x} is none that weights need", opcode));
    }
  }

  /// Plain values. Each of the three says whether the operation is one of its own.
  bool step_value(uint8_t opcode) {
    using namespace pickle;
    switch (opcode) {
      case kNone:
        return push({}), true;
      case kNewTrue:
        return push_boolean(true), true;
      case kNewFalse:
        return push_boolean(false), true;
      case kBinInt:
        return push_integer(number<int32_t>()), true;
      case kBinInt1:
        return push_integer(number<uint8_t>()), true;
      case kBinInt2:
        return push_integer(number<uint16_t>()), true;
      case kLong1:
        return push_integer(long_integer()), true;
      case kBinFloat:
        return push({.kind = Kind::number, .number = big_endian_double()}), true;
      case kShortBinString:
      case kShortBinUnicode:
        return push_string(number<uint8_t>()), true;
      case kBinString:
      case kBinUnicode:
        return push_string(number<uint32_t>()), true;
      case kBinUnicode8:
        return push_string(number<uint64_t>()), true;
      default:
        return false;
    }
  }

  bool step_container(uint8_t opcode) {
    using namespace pickle;
    switch (opcode) {
      case kMark:
        return marks_.push_back(stack_.size()), true;
      case kEmptyTuple:
        return push_tuple({}), true;
      case kTuple:
        return push_tuple(pop_to_mark()), true;
      case kTuple1:
        return push_tuple(pop(1)), true;
      case kTuple2:
        return push_tuple(pop(2)), true;
      case kTuple3:
        return push_tuple(pop(3)), true;
      case kEmptyList:
        return push({.kind = Kind::list}), true;
      case kEmptyDict:
        return push({.kind = Kind::dict}), true;
      case kAppend:
        return extend(Kind::list, pop(1)), true;
      case kAppends:
        return extend(Kind::list, pop_to_mark()), true;
      case kSetItem:
        return extend(Kind::dict, pop(2)), true;
      case kSetItems:
        return extend(Kind::dict, pop_to_mark()), true;
      default:
        return false;
    }
  }

  bool step_object(uint8_t opcode) {
    using namespace pickle;
    switch (opcode) {
      case kProto:
        return check_protocol(), true;
      case kFrame:
        return take(sizeof(uint64_t)), true;
      case kStop:
        return stop(), true;
      case kGlobal: {
        const std::string module = line();
        return push_global(module, line()), true;
      }
      case kStackGlobal:
        return stack_global(), true;
      case kReduce:
      case kNewObj:
        return call(), true;
      case kBuild:
        return build(), true;
      case kBinPersId:
        return push({.kind = Kind::persistent, .items = pop(1)}), true;
      case kBinPut:
        return put(number<uint8_t>()), true;
      case kLongBinPut:
        return put(number<uint32_t>()), true;
      case kMemoize:
        return put(static_cast<uint32_t>(memo_.size())), true;
      case kBinGet:
        return get(number<uint8_t>()), true;
      case kLongBinGet:
        return get(number<uint32_t>()), true;
      default:
        return false;
    }
  }

  const PickleSource& source_;
  uint64_t at_ = 0;
  PickleTree tree_;
  std::vector<PickleIndex> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint32_t, PickleIndex> memo_;
  bool stopped_ = false;
};

}  // namespace

PickleTree read_pickle(const PickleSource& source) {
  return PickleMachine(source).run();
}

}  // namespace excitor
