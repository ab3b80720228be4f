#include "words.h"

#include "model_proto_fields.h"
#include "protobuf_reader.h"

namespace excitor {
namespace {

constexpr size_t kLongestWord = 48;  // bytes
constexpr size_t kWordsPerShard = 20000;

bool allows_word_by_word(const ProtobufField& field) {
  using namespace model_proto;
  switch (field.number) {
    case kPieces:
      return find_integer(field.content, kPieceType, kPieceTypeNormal) != kPieceTypeUserDefined &&
             !holds_inner_space(find_content(field.content, kPieceText));
    case kTrainerSpec:
      return find_integer(field.content, kModelType, kModelTypeUnigram) == kModelTypeBpe &&
             find_integer(field.content, kByteFallback, 0) != 0 &&
             find_integer(field.content, kTreatWhitespaceAsSuffix, 0) == 0;
    case kNormalizerSpec:
      return find_content(field.content, kPrecompiledCharsmap).empty() &&
             find_integer(field.content, kAddDummyPrefix, 1) != 0 &&
             find_integer(field.content, kEscapeWhitespaces, 1) != 0 &&
             find_integer(field.content, kRemoveExtraWhitespaces, 1) == 0;
    default:
      return true;
  }
}

bool ends_in_space(std::string_view text) {
  return text.ends_with(' ') || text.ends_with(kSpaceSymbol);
}

}  // namespace

bool encodes_word_by_word(std::string_view content) {
  for (ProtobufReader reader(content); !reader.at_end();) {
    if (!allows_word_by_word(reader.next())) return false;
  }
  return true;
}

bool adds_dummy_prefix(std::string_view content) {
  const std::string_view normalizer = find_content(content, model_proto::kNormalizerSpec);
  return find_integer(normalizer, model_proto::kAddDummyPrefix, 1) != 0;
}

std::string without_dummy_prefix(std::string_view content) {
  std::string changed;
  for (ProtobufReader reader(content); !reader.at_end();) {
    const std::string_view before = reader.rest();
    const bool is_self_test = reader.next().number == model_proto::kSelfTestData;
    // The samples of a self-test expect the prefix.
    if (!is_self_test) changed.append(before.substr(0, before.size() - reader.rest().size()));
  }
  // A message that stands twice is merged: add_dummy_prefix = false.
  constexpr char kOverride[] = {model_proto::kNormalizerSpec << 3 | 2, 2, model_proto::kAddDummyPrefix << 3,
                                0};
  return changed.append(kOverride, sizeof kOverride);
}

bool holds_inner_space(std::string_view piece) {
  while (piece.starts_with(kSpaceSymbol)) piece.remove_prefix(kSpaceSymbol.size());
  return piece.find(kSpaceSymbol) != piece.npos;
}

std::string with_spaces(std::string_view piece) {
  std::string text;
  for (size_t found = 0; (found = piece.find(kSpaceSymbol)) != piece.npos;) {
    text.append(piece.substr(0, found)).append(" ");
    piece.remove_prefix(found + kSpaceSymbol.size());
  }
  return text.append(piece);
}

void for_each_word(std::string_view text, const std::function<void(std::string_view)>& visit) {
  size_t begin = 0;
  for (size_t space = text.find(' ', 1); space != text.npos && space + 1 < text.size();
       space = text.find(' ', space + 1)) {
    if (ends_in_space(text.substr(0, space))) continue;
    visit(text.substr(begin, space - begin));
    begin = space + 1;
  }
  if (begin < text.size()) visit(text.substr(begin));
}

bool WordCache::append_ids(std::string_view word, std::vector<TokenId>& ids) {
  if (word.size() > kLongestWord) return false;
  Shard& shard = shard_of(word);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.ids.find(word);
  if (found == shard.ids.end()) return false;
  ids.insert(ids.end(), found->second.begin(), found->second.end());
  return true;
}

void WordCache::remember(std::string_view word, const std::vector<TokenId>& ids) {
  if (word.size() > kLongestWord) return;
  Shard& shard = shard_of(word);
  const std::lock_guard lock(shard.mutex);
  if (shard.ids.size() < kWordsPerShard) shard.ids.emplace(word, ids);
}

}  // namespace excitor
