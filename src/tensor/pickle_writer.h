// Writes pickles of protocol 2, the one that torch.save uses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace excitor {

/// Appends one operation after the other; the caller sees to it that they make sense together.
class PickleWriter {
 public:
  PickleWriter();

  void none();
  void boolean(bool value);
  void integer(int64_t value);
  void number(double value);
  void string(std::string_view utf8);
  void global(std::string_view module, std::string_view name);
  void empty_tuple();
  void empty_list();
  void empty_dict();
  /// Begins the members of a tuple, list or dict.
  void mark();
  void end_tuple();
  void append_to_list();
  void set_in_dict();
  /// Calls the global with the tuple, both pushed before.
  void call();
  void persistent_id();
  /// The finished pickle.
  std::string finish() &&;

 private:
  void opcode(uint8_t code) { bytes_ += static_cast<char>(code); }

  std::string bytes_;
};

}  // namespace excitor
