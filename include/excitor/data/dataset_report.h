// What reading did to the examples, said in numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <excitor/util/json.h>

namespace excitor {

/// A row that was left out, to be told of.
struct LeftOutRow {
  std::string place;   ///< "data.json[17]"; as long as its file is not named (in the cache): "[17]"
  std::string reason;  ///< "\"output\" is empty"

  std::string text() const { return place + ": " + reason; }
};

struct DatasetReport {
  static constexpr size_t kNamedRows = 10;

  int64_t examples = 0;
  int64_t tokens = 0;
  int64_t label_tokens = 0;
  int64_t longest = 0;          ///< tokens of the longest example
  int64_t truncated = 0;        ///< cut to max_seq_length
  int64_t continued = 0;        ///< text documents that did not fit one window and go on in further examples
  int64_t dropped = 0;          ///< left out for their length
  int64_t empty = 0;            ///< rows whose text or answer is blank, left out
  int64_t prompt_too_long = 0;  ///< rows whose prompt alone fills max_seq_length, left out
  int64_t ending_in_eos = 0;    ///< examples whose last label is EOS, or the template's control token for it
  int64_t leading_answers = 0;  ///< messages of an assistant before the first question, left out
  int64_t trailing_questions = 0;         ///< messages of a user after the last answer, left out
  int64_t without_answer = 0;             ///< conversations in which no answer to train on is left, left out
  int64_t with_image = 0;                 ///< examples that show an image
  int64_t bad_image = 0;                  ///< examples left out as their image can't be read
  std::vector<LeftOutRow> left_out = {};  ///< the first kNamedRows of `empty` and `prompt_too_long`

  /// Adds the counts of other examples; `longest` is the larger of both.
  void add(const DatasetReport& other);
  void name(LeftOutRow row);
  /// One line: the counts of examples and tokens, and those of the others that are not 0.
  std::string text() const;
  Json json() const;
  /// Throws DataError when a count is missing or is no integer.
  static DatasetReport from_json(const Json& json);
};

}  // namespace excitor
