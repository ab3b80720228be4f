#include "pickle_writer.h"

#include <bit>
#include <cstring>
#include <limits>

#include "pickle_opcodes.h"

namespace excitor {
namespace {

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

}  // namespace

PickleWriter::PickleWriter() {
  opcode(pickle::kProto);
  opcode(2);
}

void PickleWriter::none() {
  opcode(pickle::kNone);
}

void PickleWriter::boolean(bool value) {
  opcode(value ? pickle::kNewTrue : pickle::kNewFalse);
}

void PickleWriter::integer(int64_t value) {
  if (value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max()) {
    opcode(pickle::kBinInt);
    bytes_ += little_endian(static_cast<int32_t>(value));
  } else {
    opcode(pickle::kLong1);
    opcode(sizeof value);
    bytes_ += little_endian(value);
  }
}

void PickleWriter::number(double value) {
  opcode(pickle::kBinFloat);
  const auto bits = std::bit_cast<uint64_t>(value);
  for (int shift = 56; shift >= 0; shift -= 8) bytes_ += static_cast<char>(bits >> shift);
}

void PickleWriter::string(std::string_view utf8) {
  opcode(pickle::kBinUnicode);
  bytes_ += little_endian(static_cast<uint32_t>(utf8.size()));
  bytes_ += utf8;
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  opcode(pickle::kGlobal);
  bytes_ += module;
  bytes_ += '\n';
  bytes_ += name;
  bytes_ += '\n';
}

void PickleWriter::empty_tuple() {
  opcode(pickle::kEmptyTuple);
}

void PickleWriter::empty_list() {
  opcode(pickle::kEmptyList);
}

void PickleWriter::empty_dict() {
  opcode(pickle::kEmptyDict);
}

void PickleWriter::mark() {
  opcode(pickle::kMark);
}

void PickleWriter::end_tuple() {
  opcode(pickle::kTuple);
}

void PickleWriter::append_to_list() {
  opcode(pickle::kAppends);
}

void PickleWriter::set_in_dict() {
  opcode(pickle::kSetItems);
}

void PickleWriter::call() {
  opcode(pickle::kReduce);
}

void PickleWriter::persistent_id() {
  opcode(pickle::kBinPersId);
}

std::string PickleWriter::finish() && {
  opcode(pickle::kStop);
  return std::move(bytes_);
}

}  // namespace excitor
