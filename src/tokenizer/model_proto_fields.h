// Field numbers of sentencepiece_model.proto, as far as they are read here.
#pragma once

#include <cstdint>

namespace excitor::model_proto {

// ModelProto
inline constexpr uint32_t kPieces = 1;
inline constexpr uint32_t kTrainerSpec = 2;
inline constexpr uint32_t kNormalizerSpec = 3;
inline constexpr uint32_t kSelfTestData = 4;
inline constexpr uint32_t kDenormalizerSpec = 5;

// ModelProto.SentencePiece
inline constexpr uint32_t kPieceText = 1;
inline constexpr uint32_t kPieceType = 3;
inline constexpr uint64_t kPieceTypeNormal = 1;  // the default
inline constexpr uint64_t kPieceTypeUserDefined = 4;

// TrainerSpec
inline constexpr uint32_t kModelType = 3;
inline constexpr uint64_t kModelTypeUnigram = 1;  // the default
inline constexpr uint64_t kModelTypeBpe = 2;
inline constexpr uint32_t kTreatWhitespaceAsSuffix = 24;  // default false
inline constexpr uint32_t kByteFallback = 35;             // default false

// NormalizerSpec
inline constexpr uint32_t kPrecompiledCharsmap = 2;
inline constexpr uint32_t kAddDummyPrefix = 3;          // default true
inline constexpr uint32_t kRemoveExtraWhitespaces = 4;  // default true
inline constexpr uint32_t kEscapeWhitespaces = 5;       // default true

}  // namespace excitor::model_proto
