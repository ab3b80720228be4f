// Reading a tokenizer.json: every key is asked for, so that one that is not understood can be named.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

namespace excitor {

/// An object of tokenizer.json. Every function throws CheckpointError that names the place.
class JsonFields {
 public:
  /// `where` names the object in messages: "tokenizer.json: pre_tokenizer".
  JsonFields(const Json& object, std::string where);

  /// The value of a key; null when it is absent.
  const Json& get(const std::string& key);
  bool flag(const std::string& key, bool otherwise);
  std::string text(const std::string& key);
  const Json& list(const std::string& key);
  /// The key `type`.
  std::string type() { return text("type"); }

  /// Throws for a key that was not asked for.
  void require_nothing_else() const;
  /// Throws "`where`: `reason`".
  [[noreturn]] void fail(const std::string& reason) const;

  const std::string& where() const { return where_; }

 private:
  const Json& object_;
  std::string where_;
  std::set<std::string> asked_;
};

}  // namespace excitor
