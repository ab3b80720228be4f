// Describers that only look: all kinds of plain values come to one function, with what a reader of the
// documentation wants to know about them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/describe.h>

namespace excitor {

/// A plain value or a list of plain values as describe() showed it.
struct DescribedValue {
  std::string_view
      type;  ///< JSON Schema's word ("boolean", "integer", "number", "string"), or "" for any value
  bool optional = false;
  bool list = false;
  std::vector<std::string> words = {};  ///< the only texts allowed; empty: no such limit
  Json value;                           ///< what it is set to; null for an optional that is not set
};

/// Maps the overloads of Describer to visit().
class LookingDescriber : public Describer {
 protected:
  virtual void visit(const Field& field, const DescribedValue& value) = 0;

 private:
  template <class T>
  void look(const Field& field, std::string_view type, const std::optional<T>& value) {
    visit(field, {.type = type, .optional = true, .value = value ? Json(*value) : Json()});
  }

  void value_of(const Field& f, bool& v) final { visit(f, {.type = "boolean", .value = v}); }
  void value_of(const Field& f, int64_t& v) final { visit(f, {.type = "integer", .value = v}); }
  void value_of(const Field& f, double& v) final { visit(f, {.type = "number", .value = v}); }
  void value_of(const Field& f, std::string& v) final { visit(f, {.type = "string", .value = v}); }
  void value_of(const Field& f, std::optional<bool>& v) final { look(f, "boolean", v); }
  void value_of(const Field& f, std::optional<int64_t>& v) final { look(f, "integer", v); }
  void value_of(const Field& f, std::optional<double>& v) final { look(f, "number", v); }
  void value_of(const Field& f, std::optional<std::string>& v) final { look(f, "string", v); }
  void value_of(const Field& f, std::vector<int64_t>& v) final {
    visit(f, {.type = "integer", .list = true, .value = v});
  }
  void value_of(const Field& f, std::vector<std::string>& v) final {
    visit(f, {.type = "string", .list = true, .value = v});
  }
  void value_of(const Field& f, Json& v) final { visit(f, {.type = "", .value = v}); }
  void word_of(const Field& f, std::string& word, const std::vector<std::string>& allowed) final {
    visit(f, {.type = "string", .words = allowed, .value = word});
  }
};

/// "a.b", or "b" where there is no "a".
std::string join_path(std::string_view parent, std::string_view name);

/// The last part of a dotted path.
std::string_view leaf_of(std::string_view path);

/// "> 0 and <= 1"; "" for a range without limits.
std::string limits_of(const Range& range);

bool contains(const Range& range, double value);

}  // namespace excitor
