// A look at a SentencePiece model's bytes before the library sees them. The library trusts a model: a damaged
// normalisation table makes it read outside its memory, and a file cut between two messages loads with
// defaults.
#pragma once

#include <string>
#include <string_view>

namespace excitor {

/// What is wrong with a serialised ModelProto (sentencepiece_model.proto), or "" when nothing was found.
/// Checked: the protobuf structure, pieces that are text, the presence of trainer_spec and normalizer_spec,
/// and that walking the normaliser's precompiled table can't leave it.
std::string find_model_proto_damage(std::string_view content);

}  // namespace excitor
