// What reading did to the examples, said in numbers.
#pragma once

#include <cstdint>
#include <string>

#include <excitor/util/json.h>

namespace excitor {

struct DatasetReport {
  int64_t examples = 0;
  int64_t tokens = 0;
  int64_t label_tokens = 0;
  int64_t longest = 0;          ///< tokens of the longest example
  int64_t truncated = 0;        ///< cut to max_seq_length
  int64_t continued = 0;        ///< text documents that did not fit one window and go on in further examples
  int64_t dropped = 0;          ///< left out for their length
  int64_t empty = 0;            ///< rows {"text"} without text, left out
  int64_t ending_in_eos = 0;    ///< examples whose last label is EOS, or what ends the template's answers
  int64_t leading_answers = 0;  ///< messages of an assistant before the first question, left out
  int64_t trailing_questions = 0;  ///< messages of a user after the last answer, left out
  int64_t without_answer = 0;      ///< conversations in which no answer is left, left out
  int64_t with_image = 0;          ///< examples that show an image
  int64_t bad_image = 0;           ///< examples left out as their image can't be read

  /// Adds the counts of other examples; `longest` is the larger of both.
  void add(const DatasetReport& other);
  /// One line: the counts of examples and tokens, and those of the others that are not 0.
  std::string text() const;
  Json json() const;
  /// Throws DataError when a count is missing or is no integer.
  static DatasetReport from_json(const Json& json);
};

}  // namespace excitor
