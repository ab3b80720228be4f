// The fields of a protobuf message, read from its bytes: SentencePiece's own reader is not in its installed
// headers.
#pragma once

#include <cstdint>
#include <string_view>

namespace excitor {

/// Thrown and caught inside src/tokenizer; `reason` continues "… is damaged: ".
struct ProtobufDamage {
  std::string_view reason;
};

struct ProtobufField {
  uint32_t number = 0;
  uint64_t integer = 0;      ///< of a varint
  std::string_view content;  ///< of text, bytes or a nested message
};

/// Fields one after the other, in the file's order. Throws ProtobufDamage.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  bool at_end() const { return rest_.empty(); }
  /// The bytes that are still to be read.
  std::string_view rest() const { return rest_; }

  ProtobufField next() {
    const uint64_t tag = varint();
    ProtobufField field{.number = static_cast<uint32_t>(tag >> 3), .integer = 0, .content = {}};
    if (tag > UINT32_MAX || field.number == 0) throw ProtobufDamage{"a field has an impossible number"};
    switch (tag & 7) {  // the wire type
      case 0:
        field.integer = varint();
        break;
      case 1:
        take(8);
        break;
      case 2:
        field.content = take(varint());
        break;
      case 5:
        take(4);
        break;
      default:
        throw ProtobufDamage{"a field has an unknown wire type"};
    }
    return field;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    throw ProtobufDamage{"a number is longer than 64 bits"};
  }

  std::string_view take(uint64_t size) {
    if (size > rest_.size()) throw ProtobufDamage{"it ends in the middle of a field"};
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
};

/// Field `number` of a message (the last, when repeated): its text, bytes or message; empty when absent.
inline std::string_view find_content(std::string_view message, uint32_t number) {
  std::string_view found;
  for (ProtobufReader reader(message); !reader.at_end();) {
    if (const ProtobufField field = reader.next(); field.number == number) found = field.content;
  }
  return found;
}

/// Field `number` of a message (the last, when repeated) as an integer; `otherwise` when absent.
inline uint64_t find_integer(std::string_view message, uint32_t number, uint64_t otherwise) {
  for (ProtobufReader reader(message); !reader.at_end();) {
    if (const ProtobufField field = reader.next(); field.number == number) otherwise = field.integer;
  }
  return otherwise;
}

}  // namespace excitor
