// What readers hand on: texts, not yet tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <excitor/tokenizer/template_piece.h>

namespace excitor {

/// Where an example stands. The file's name is shared by all its examples.
struct Origin {
  std::shared_ptr<const std::string> file;
  int64_t number = 0;  ///< line from 1, or row from 0
  bool is_line = true;
  std::string list = {};  ///< the list of the document that the row stands in; empty: the file is the list

  std::string place() const {  ///< inside the file: ":17", "[17]" or ": annotations[17]"
    return (list.empty() ? "" : ": " + list) +
           (is_line ? ":" + std::to_string(number) : "[" + std::to_string(number) + "]");
  }
  std::string text() const { return *file + place(); }  ///< "alpaca.jsonl:17" or "alpaca.json[17]"
};

enum class SourceKind { conversation, document };

/// One example before tokenisation: a conversation as its template lays it out, or a document's text.
struct SourceExample {
  SourceKind kind = SourceKind::conversation;
  std::vector<TemplatePiece> pieces = {};  ///< of a conversation
  std::string text = {};                   ///< of a document
  std::string image = {};                  ///< its name in the image folder; empty: none
  Origin origin;

  size_t text_bytes() const {
    size_t bytes = text.size();
    for (const TemplatePiece& piece : pieces) bytes += piece.text.size();
    return bytes;
  }
};

/// Takes the examples of a file, in their order.
using SourceSink = std::function<void(SourceExample)>;

}  // namespace excitor
