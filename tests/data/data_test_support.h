// A tokenizer whose ids can be counted by hand, and files made on the spot.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <excitor/data/dataset.h>
#include <excitor/tokenizer/tokenizer.h>
#include <excitor/util/error.h>
#include <excitor/util/utf8.h>

#include "tokenizer/tiny_tokenizer.h"

namespace excitor::test {

/// One id a byte: its value + 3. BOS 1, EOS 2.
class ByteTokenizer final : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text) const override {
    if (find_invalid_utf8(text) != text.npos) throw DataError("not UTF-8");
    std::vector<TokenId> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c) + 3);
    return ids;
  }
  std::string decode(const std::vector<TokenId>& ids) const override {
    std::string text;
    for (const TokenId id : ids) {
      if (id >= 3) text += static_cast<char>(id - 3);
    }
    return text;
  }
  std::string piece(TokenId id) const override { return decode({id}); }
  std::optional<TokenId> find_control(std::string_view) const override { return std::nullopt; }
  bool adds_leading_space() const override { return false; }
  int64_t vocab_size() const override { return 259; }
  TokenId bos() const override { return 1; }
  TokenId eos() const override { return 2; }
};

/// A dataset of which only the lengths matter.
class Lengths final : public Dataset {
 public:
  explicit Lengths(std::vector<int64_t> lengths) : lengths_(std::move(lengths)) {}
  int64_t size() const override { return static_cast<int64_t>(lengths_.size()); }
  Example example(int64_t) const override { return {}; }
  int64_t tokens(int64_t index) const override { return lengths_.at(static_cast<size_t>(index)); }
  int64_t labels(int64_t index) const override { return tokens(index) - 1; }

 private:
  std::vector<int64_t> lengths_;
};

/// An example as text: "^" for BOS, "$" for EOS, labels in square brackets: "^prompt[answer$]".
inline std::string shown(const Example& example) {
  std::string text;
  bool label = false;
  for (size_t t = 0; t < example.ids.size(); ++t) {
    if ((example.supervised[t] != 0) != label) text += label ? ']' : '[';
    label = example.supervised[t] != 0;
    const TokenId id = example.ids[t];
    text += id == 1 ? '^' : id == 2 ? '$' : static_cast<char>(id - 3);
  }
  return label ? text + ']' : text;
}

/// Every example of a dataset as `shown`.
inline std::vector<std::string> shown(const Dataset& dataset) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < dataset.size(); ++i) texts.push_back(shown(dataset.example(i)));
  return texts;
}

/// Settings whose prompts can be counted by hand.
inline DataSettings plain_settings() {
  DataSettings settings;
  settings.prompt_template = "plain";
  return settings;
}

inline LoadedDataset load(const std::filesystem::path& file, const DataSettings& settings = plain_settings(),
                          const std::string& format = "auto") {
  return load_dataset({{.path = file.string(), .format = format}}, settings, ByteTokenizer());
}

/// The message of the error that loading gives, or "" when it gives none.
template <class ErrorType = DataError>
std::string loading_error(const std::filesystem::path& file, const DataSettings& settings = plain_settings(),
                          const std::string& format = "auto") {
  try {
    load(file, settings, format);
    return "";
  } catch (const ErrorType& error) {
    return error.what();
  }
}

}  // namespace excitor::test
