// read_settings: JSON into a struct, with everything that is wrong with it.
#include <algorithm>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <excitor/util/settings.h>

#include "described_value.h"
#include "unknown_key.h"

namespace excitor {
namespace {

constexpr auto kLargestInteger = std::numeric_limits<int64_t>::max();

/// A number beyond int64_t: nlohmann holds it as unsigned or, past 64 bits, as a double.
bool is_integer_too_large(const Json& json) {
  if (json.is_number_unsigned()) return json.get<uint64_t>() > static_cast<uint64_t>(kLargestInteger);
  return json.is_number_float() && std::abs(json.get<double>()) >= 0x1p63;
}

class Reader final : public Describer {
 public:
  Reader(const Json& object, const ReadOptions& options, Problems& problems)
      : object_(object), options_(options), problems_(problems) {}

  /// To be called after describe(): then all keys are known.
  void report_unknown_keys() {
    for (const auto& [key, value] : object_.items()) {
      const bool names_schema = options_.path.empty() && key == "$schema";  // editors write it
      if (names_schema || std::find(names_.begin(), names_.end(), key) != names_.end()) continue;
      problems_.add(path_of(key), unknown_key_message(key, names_, options_));
    }
  }

 private:
  void value_of(const Field& f, bool& v) override { read_plain(f, v); }
  void value_of(const Field& f, int64_t& v) override { read_plain(f, v); }
  void value_of(const Field& f, double& v) override { read_plain(f, v); }
  void value_of(const Field& f, std::string& v) override { read_plain(f, v); }
  void value_of(const Field& f, std::optional<bool>& v) override { read_optional(f, v); }
  void value_of(const Field& f, std::optional<int64_t>& v) override { read_optional(f, v); }
  void value_of(const Field& f, std::optional<double>& v) override { read_optional(f, v); }
  void value_of(const Field& f, std::optional<std::string>& v) override { read_optional(f, v); }
  void value_of(const Field& f, std::vector<int64_t>& v) override { read_list(f, v); }
  void value_of(const Field& f, std::vector<std::string>& v) override { read_list(f, v); }
  void value_of(const Field& f, Json& v) override {
    if (const Json* json = find(f)) v = *json;
  }

  void word_of(const Field& field, std::string& word, const std::vector<std::string>& allowed) override {
    if (const Json* json = find(field)) take_word(*json, path_of(field.name), word, allowed);
  }

  void object_of(const Field& field, const DescribeFunction& describe) override {
    if (const Json* json = find(field))
      read_settings(*json, describe, inner_options(path_of(field.name)), problems_);
  }

  void optional_object_of(const Field& field, bool& present, const DescribeFunction& describe) override {
    const Json* json = find(field);
    if (json == nullptr) return;
    present = !json->is_null();
    if (present) read_settings(*json, describe, inner_options(path_of(field.name)), problems_);
  }

  void list_of(const Field& field, const ListAccess& list) override {
    const Json* json = find(field);
    const std::string path = path_of(field.name);
    if (json == nullptr || !expect(json->is_array(), path, "a list", *json)) return;
    list.resize(0);  // elements of the default must not show through
    list.resize(json->size());
    for (size_t i = 0; i < json->size(); ++i) {
      const auto describe = [&](Describer& d) { list.describe(i, d); };
      read_settings((*json)[i], describe, inner_options(fmt::format("{}[{}]", path, i)), problems_);
    }
  }

  template <class T>
  void read_plain(const Field& field, T& value) {
    if (const Json* json = find(field)) take(*json, path_of(field.name), field.range, value);
  }

  template <class T>
  void read_optional(const Field& field, std::optional<T>& value) {
    const Json* json = find(field);
    if (json == nullptr) return;
    value.reset();
    T content{};
    if (!json->is_null() && take(*json, path_of(field.name), field.range, content))
      value = std::move(content);
  }

  template <class T>
  void read_list(const Field& field, std::vector<T>& values) {
    const Json* json = find(field);
    const std::string path = path_of(field.name);
    if (json == nullptr || !expect(json->is_array(), path, "a list", *json)) return;
    values.assign(json->size(), T{});
    for (size_t i = 0; i < json->size(); ++i)
      take((*json)[i], fmt::format("{}[{}]", path, i), field.range, values[i]);
  }

  // take: one value of the right type and range, or a problem and `value` as it was.

  bool take(const Json& json, const std::string& path, const Range&, bool& value) {
    if (!expect(json.is_boolean(), path, "true or false", json)) return false;
    value = json.get<bool>();
    return true;
  }

  bool take(const Json& json, const std::string& path, const Range&, std::string& value) {
    if (!expect(json.is_string(), path, "a string", json)) return false;
    value = json.get<std::string>();
    return true;
  }

  bool take(const Json& json, const std::string& path, const Range& range, int64_t& value) {
    if (is_integer_too_large(json)) {
      problems_.add(path, fmt::format("integer too large: expected at most {}, found {}", kLargestInteger,
                                      json.dump()));
      return false;
    }
    if (!expect(json.is_number_integer(), path, "an integer", json)) return false;
    if (!is_within(range, path, json)) return false;
    value = json.get<int64_t>();
    return true;
  }

  bool take(const Json& json, const std::string& path, const Range& range, double& value) {
    if (!expect(json.is_number(), path, "a number", json)) return false;
    if (!is_within(range, path, json)) return false;
    value = json.get<double>();
    return true;
  }

  bool take_word(const Json& json, const std::string& path, std::string& word,
                 const std::vector<std::string>& allowed) {
    std::string text;
    if (!take(json, path, Range{}, text)) return false;
    if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
      const std::string nearest = nearest_name(text, allowed);
      problems_.add(path, fmt::format("must be {}, found {}{}", join_words(allowed), describe_value(json),
                                      nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest)));
      return false;
    }
    word = text;
    return true;
  }

  bool expect(bool right_type, const std::string& path, std::string_view expected, const Json& found) {
    if (right_type) return true;
    const std::string_view advice = found.is_null() ? " (leave the key out to get the default)" : "";
    problems_.add(path, fmt::format("expected {}, found {}{}", expected, describe_value(found), advice));
    return false;
  }

  bool is_within(const Range& range, const std::string& path, const Json& number) {
    if (contains(range, number.get<double>())) return true;
    problems_.add(path, fmt::format("must be {}, found {}", limits_of(range), number.dump()));
    return false;
  }

  static std::string join_words(const std::vector<std::string>& words) {
    std::string text;
    for (size_t i = 0; i < words.size(); ++i) {
      text += fmt::format("{}\"{}\"", i == 0 ? "" : i + 1 == words.size() ? " or " : ", ", words[i]);
    }
    return text;
  }

  /// The field's value, or nullptr where the object has no such key.
  const Json* find(const Field& field) {
    names_.emplace_back(field.name);
    const auto it = object_.find(names_.back());
    return it == object_.end() ? nullptr : &*it;
  }
  std::string path_of(std::string_view name) const { return join_path(options_.path, name); }

  ReadOptions inner_options(std::string path) const {
    return {.path = std::move(path), .spellings = options_.spellings, .known_paths = options_.known_paths};
  }

  const Json& object_;
  const ReadOptions& options_;
  Problems& problems_;
  std::vector<std::string> names_;  ///< of the fields described so far
};

}  // namespace

void read_settings(const Json& json, const std::function<void(Describer&)>& describe,
                   const ReadOptions& options, Problems& problems) {
  if (!json.is_object()) {
    problems.add(options.path, fmt::format("expected an object, found {}", describe_value(json)));
    return;
  }
  Reader reader(json, options, problems);
  describe(reader);
  reader.report_unknown_keys();
}

}  // namespace excitor
