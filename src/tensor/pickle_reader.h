// Reads a pickle into a tree of what it describes. Nothing is imported, called or made.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace excitor {

/// A node's place in PickleTree::nodes. Nodes refer to each other by it, so they may be shared, and form
/// cycles.
using PickleIndex = uint32_t;

struct PickleNode {
  enum class Kind { none, boolean, integer, number, string, list, tuple, dict, global, call, persistent };

  Kind kind = Kind::none;
  int64_t integer = 0;  ///< boolean, integer
  double number = 0;
  std::string text;  ///< string: the content, UTF-8; global: "module.name"
  /// list, tuple: the elements; dict: key, value, key, value, …; call: what is called, a tuple of arguments;
  /// persistent: the id.
  std::vector<PickleIndex> items;
};

struct PickleTree {
  std::vector<PickleNode> nodes;
  PickleIndex root = 0;

  const PickleNode& operator[](PickleIndex index) const { return nodes[index]; }
};

struct PickleSource {
  std::span<const std::byte> bytes;
  std::string file;  ///< stands first in messages
  /// Whether a pickle may name this global ("torch._utils._rebuild_tensor_v2").
  std::function<bool(std::string_view)> allows;
};

/// Reads the operations that protocols 2 to 5 use for plain values, dicts (collections.OrderedDict is one,
/// attributes set on it are dropped), calls and persistent ids. Throws CheckpointError: a global that is not
/// allowed (its name, the keys of the outermost dict that came before it, and how to extract one of them), an
/// operation that is not among those, an integer beyond 64 bits, a damaged pickle, one of more than 4 million
/// values.
PickleTree read_pickle(const PickleSource& source);

}  // namespace excitor
