// Structures described once. `void describe(Describer&)` of a settings struct lists its fields with their
// documentation and limits; visitors read it from JSON, write it, print its JSON Schema and reference page.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <excitor/util/json.h>

namespace excitor {

/// The range of a number. Text and lists have none.
struct Range {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool open_minimum = false;  ///< `minimum` itself is not allowed
};

inline constexpr Range kPositive{.minimum = 0, .open_minimum = true};
inline constexpr Range kNonNegative{.minimum = 0};
inline constexpr Range kAtLeastOne{.minimum = 1};
/// Counts of examples, tokens and steps: far above any real run, and far from overflow.
inline constexpr Range kCount{.minimum = 1, .maximum = 1e9};
inline constexpr Range kProbability{.minimum = 0, .maximum = 1};

/// One field: its key, one or two sentences of documentation (unit, meaning, source), its range.
struct Field {
  std::string_view name;
  std::string_view doc;
  Range range = {};
};

/// A visitor over the fields of a settings struct. Subclasses implement the virtual functions; describe()
/// functions call `field`, `choice`, `object`, `list` and so on.
class Describer {
 public:
  virtual ~Describer() = default;

  /// A plain value: bool, int64_t, double, std::string, Json (any value), std::vector<int64_t>,
  /// std::vector<std::string>, or std::optional of one of the first four (absent and null: "not set").
  template <class T>
  void field(std::string_view name, T& value, std::string_view doc, Range range = {}) {
    value_of(Field{name, doc, range}, value);
  }

  /// An enumeration written as one of a few words. `words` is a table of {word, enumerator}.
  template <class E>
  void choice(std::string_view name, E& value, const std::vector<std::pair<std::string, E>>& words,
              std::string_view doc) {
    std::vector<std::string> allowed;
    std::string word;
    for (const auto& [text, enumerator] : words) {
      allowed.push_back(text);
      if (enumerator == value) word = text;
    }
    word_of(Field{name, doc}, word, allowed);
    for (const auto& [text, enumerator] : words) {
      if (text == word) value = enumerator;
    }
  }

  /// A nested struct with a describe() of its own, always present.
  template <class T>
  void object(std::string_view name, T& value, std::string_view doc) {
    object_of(Field{name, doc}, [&value](Describer& d) { value.describe(d); });
  }

  /// A nested struct that may be absent (or null).
  template <class T>
  void optional_object(std::string_view name, std::optional<T>& value, std::string_view doc) {
    T content = value.value_or(T{});
    bool present = value.has_value();
    optional_object_of(Field{name, doc}, present, [&content](Describer& d) { content.describe(d); });
    value.reset();
    if (present) value = std::move(content);
  }

  /// An array of structs.
  template <class T>
  void list(std::string_view name, std::vector<T>& values, std::string_view doc) {
    ListAccess access{.size = [&values] { return values.size(); },
                      .resize = [&values](size_t n) { values.resize(n); },
                      .describe = [&values](size_t i, Describer& d) { values[i].describe(d); },
                      .describe_default = [](Describer& d) { T{}.describe(d); }};
    list_of(Field{name, doc}, access);
  }

 protected:
  using DescribeFunction = std::function<void(Describer&)>;
  struct ListAccess {
    std::function<size_t()> size;
    std::function<void(size_t)> resize;
    std::function<void(size_t, Describer&)> describe;
    std::function<void(Describer&)> describe_default;  ///< describes one fresh element, for the schema
  };

  virtual void value_of(const Field&, bool&) = 0;
  virtual void value_of(const Field&, int64_t&) = 0;
  virtual void value_of(const Field&, double&) = 0;
  virtual void value_of(const Field&, std::string&) = 0;
  virtual void value_of(const Field&, std::optional<bool>&) = 0;
  virtual void value_of(const Field&, std::optional<int64_t>&) = 0;
  virtual void value_of(const Field&, std::optional<double>&) = 0;
  virtual void value_of(const Field&, std::optional<std::string>&) = 0;
  virtual void value_of(const Field&, std::vector<int64_t>&) = 0;
  virtual void value_of(const Field&, std::vector<std::string>&) = 0;
  virtual void value_of(const Field&, Json&) = 0;
  virtual void word_of(const Field&, std::string& word, const std::vector<std::string>& allowed) = 0;
  virtual void object_of(const Field&, const DescribeFunction&) = 0;
  virtual void optional_object_of(const Field&, bool& present, const DescribeFunction&) = 0;
  virtual void list_of(const Field&, const ListAccess&) = 0;
};

}  // namespace excitor
