#include "model_proto_check.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include <excitor/util/utf8.h>

#include "model_proto_fields.h"
#include "protobuf_reader.h"

namespace excitor {
namespace {

void check_piece(std::string_view message) {
  const std::string_view text = find_content(message, model_proto::kPieceText);
  if (text.empty()) throw ProtobufDamage{"a piece is empty"};
  if (text.find('\0') != text.npos || find_invalid_utf8(text) != text.npos) {
    throw ProtobufDamage{"a piece is not text"};
  }
}

/// One unit of a double array as Darts-clone lays it out: bit 31 marks a value, else bits 10-30 are the
/// offset (shifted by 8 when bit 9 is set) and bit 8 says that a value hangs here.
struct DartsUnit {
  uint32_t bits;
  bool is_value() const { return (bits >> 31) != 0; }
  bool has_value() const { return ((bits >> 8) & 1) != 0; }
  uint32_t value() const { return bits & 0x7FFFFFFF; }
  uint32_t offset() const { return (bits >> 10) << ((bits & (1U << 9)) >> 6); }
};

/// Every step a walk can take from any unit, with any character, stays inside the table, and every value
/// points into the replacement texts.
void check_double_array(const std::vector<DartsUnit>& units, size_t replacement_bytes) {
  for (size_t i = 0; i < units.size(); ++i) {
    if (i > 0 && units[i].is_value()) continue;  // a walk starts at unit 0 whatever it holds
    const size_t base = i ^ units[i].offset();
    if ((base | 0xFF) >= units.size()) throw ProtobufDamage{"its normalisation table points outside itself"};
    if (units[i].has_value() && units[base].value() >= replacement_bytes) {
      throw ProtobufDamage{"its normalisation table points outside its texts"};
    }
  }
}

/// A charsmap is the trie's size (32 bits), the trie, and the replacement texts, each ended by a zero byte.
void check_charsmap(std::string_view charsmap) {
  if (charsmap.empty()) return;
  uint32_t trie_bytes = 0;
  if (charsmap.size() <= sizeof trie_bytes) throw ProtobufDamage{"its normalisation table is cut short"};
  std::memcpy(&trie_bytes, charsmap.data(), sizeof trie_bytes);
  charsmap.remove_prefix(sizeof trie_bytes);
  if (trie_bytes == 0 || trie_bytes % sizeof(DartsUnit) != 0 || trie_bytes >= charsmap.size() ||
      charsmap.back() != '\0') {
    throw ProtobufDamage{"its normalisation table is cut short"};
  }
  std::vector<DartsUnit> units(trie_bytes / sizeof(DartsUnit));
  std::memcpy(units.data(), charsmap.data(), trie_bytes);
  check_double_array(units, charsmap.size() - trie_bytes);
}

void walk(std::string_view message) {
  for (ProtobufReader reader(message); !reader.at_end();) reader.next();
}

void check_model(std::string_view content) {
  size_t pieces = 0;
  bool trainer_spec = false;
  bool normalizer_spec = false;
  for (ProtobufReader reader(content); !reader.at_end();) {
    const ProtobufField field = reader.next();
    switch (field.number) {
      case model_proto::kPieces:
        check_piece(field.content);
        ++pieces;
        break;
      case model_proto::kTrainerSpec:
        walk(field.content);
        trainer_spec = true;
        break;
      case model_proto::kNormalizerSpec:
        normalizer_spec = true;
        [[fallthrough]];
      case model_proto::kDenormalizerSpec:
        check_charsmap(find_content(field.content, model_proto::kPrecompiledCharsmap));
        break;
      default:
        break;
    }
  }
  if (pieces == 0) throw ProtobufDamage{"it holds no pieces"};
  if (!trainer_spec || !normalizer_spec)
    throw ProtobufDamage{"its end (trainer_spec, normalizer_spec) is missing"};
}

}  // namespace

std::string find_model_proto_damage(std::string_view content) {
  try {
    check_model(content);
    return "";
  } catch (const ProtobufDamage& damage) {
    return std::string(damage.reason);
  }
}

}  // namespace excitor
