// Tokenised examples, and the reading that makes them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <excitor/data/data_settings.h>
#include <excitor/data/example.h>
#include <excitor/tokenizer/prompt_template.h>
#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Random access to examples. In memory today; a mapped cache is a later kind of the same thing.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual Example example(int64_t index) const = 0;
  virtual int64_t tokens(int64_t index) const = 0;  ///< length of an example
  virtual int64_t labels(int64_t index) const = 0;  ///< number of its labels
};

/// What reading did to the examples, said in numbers.
struct DatasetReport {
  int64_t examples = 0;
  int64_t tokens = 0;
  int64_t label_tokens = 0;
  int64_t longest = 0;
  int64_t truncated = 0;      ///< cut to max_seq_length
  int64_t continued = 0;      ///< text documents that did not fit one window and go on in further examples
  int64_t dropped = 0;        ///< left out for their length
  int64_t empty = 0;          ///< rows {"text"} without text, left out
  int64_t ending_in_eos = 0;  ///< examples whose last label is EOS, or what ends the template's answers
};

struct LoadedDataset {
  std::unique_ptr<Dataset> dataset;
  DatasetReport report;
};

/// Reads and tokenises `files` (in parallel threads, the order of the files kept).
///
/// alpaca: messages as the prompt template lays them out, prompt and answer encoded apart; the answer's
/// tokens and what ends it (EOS, in some templates another token) are labels, with train_on_inputs all but
/// BOS. text: a document is BOS + text + EOS, all but BOS labels; the prompt template is not applied, and
/// with on_long_example truncate a long document loses nothing: it goes on in the next window, each window
/// starting with BOS, the last ending with EOS.
///
/// Throws ConfigError for a file that does not exist, a format that can't be told, or a prompt template that
/// needs control tokens which the vocabulary lacks, and DataError that lists
/// the first 20 bad examples with their number. Errors name file and line (JSONL), row (JSON array) or first
/// line (text): a row of a wrong type or without `instruction`/`output`, broken JSON, text that is not UTF-8,
/// an answer that is empty, an example without a label after truncation, an example that is too long when
/// on_long_example is fail, a file without examples.
LoadedDataset load_dataset(const std::vector<DataFileSettings>& files, const DataSettings& settings,
                           const Tokenizer& tokenizer);

/// The dataset split as `val_size` says: the last val_size examples are the second part (an empty dataset for
/// 0). Throws ConfigError when nothing would be left to train on.
std::pair<std::unique_ptr<Dataset>, std::unique_ptr<Dataset>> split_dataset(std::unique_ptr<Dataset> all,
                                                                            int64_t val_size);

}  // namespace excitor
