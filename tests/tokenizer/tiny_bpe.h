// Byte-level vocabularies of a few tokens, as the files that spell them.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/json.h>

namespace excitor::test {

/// The tokens after the 256 single bytes of both files below, in the order of their ids; each is made of two
/// before it. The last merges into nothing further.
inline const std::vector<std::string> kTinyTokens = {"th", "he", "the", " the", "ox", " f", " fox"};

/// A tokenizer.json like LLaMA 3's: bytes 0 to 255 (id = byte), kTinyTokens, <|bos|>, <|eos|>.
Json tiny_tokenizer_json();

/// The same vocabulary as a tiktoken file.
std::string tiny_tiktoken();

}  // namespace excitor::test
