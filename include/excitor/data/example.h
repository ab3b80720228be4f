// One training example: tokens, and which of them are labels.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// ids[t] is a label (the model is trained to predict it from ids[0..t-1]) when supervised[t] != 0. Marked by
/// position, never by token id. supervised[0] is always 0.
struct Example {
  std::vector<TokenId> ids;         // [T]
  std::vector<uint8_t> supervised;  // [T]
  std::string image;                ///< the file of its image; empty: a text alone
  std::string origin;  ///< "alpaca.json:17" (line) or "alpaca.json[17]" (row from 0), for messages

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t labels() const;
  bool last_label_is(TokenId id) const;       ///< the last token is a label and equals `id`
  std::optional<TokenId> last_label() const;  ///< nothing where there is no label
};

}  // namespace excitor
