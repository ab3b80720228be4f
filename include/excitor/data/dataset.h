// Tokenised examples, and the reading that makes them.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <excitor/data/data_settings.h>
#include <excitor/data/dataset_report.h>
#include <excitor/data/example.h>
#include <excitor/tokenizer/prompt_template.h>
#include <excitor/tokenizer/tokenizer.h>

namespace excitor {

/// Random access to examples, in memory or mapped from the cache.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual Example example(int64_t index) const = 0;
  virtual int64_t tokens(int64_t index) const = 0;  ///< length of an example
  virtual int64_t labels(int64_t index) const = 0;  ///< number of its labels
  /// The file of its image; "" for a text alone.
  virtual std::string image(int64_t) const { return {}; }
};

/// One file of a dataset, after loading.
struct LoadedFile {
  std::string path;
  std::string format;  ///< never "auto"
  double weight = 1;
  DatasetReport report;
  std::string cache_folder = {};  ///< where its tokens lie; empty: in memory
  bool was_cached = false;        ///< its tokens were there already
};

struct LoadedDataset {
  std::unique_ptr<Dataset> dataset;
  DatasetReport report;           ///< of all files together
  std::vector<LoadedFile> files;  ///< in the order of the dataset
};

/// `when_large`: a file's tokens are mapped from the cache when they are there; they are put there when the
/// file is large or data.cache_dir names a folder, and a cache that can't be written is a warning. `always`:
/// they are put there, and when that fails the IoError is thrown.
enum class CacheUse { when_large, always };

/// Reads and tokenises `files` (in parallel threads, the order of the files kept), or maps what was tokenised
/// before: from a cache keyed by the file's content and everything that its tokens depend on.
///
/// alpaca, sharegpt, openai: messages as the prompt template lays them out, each encoded apart; the answers'
/// tokens and what ends them (EOS, in some templates another token) are labels, with train_on_inputs all but
/// BOS. text: a document is BOS + text + EOS, all but BOS labels; the prompt template is not applied, and
/// with on_long_example truncate a long document loses nothing: it goes on in the next window, each window
/// starting with BOS, the last ending with EOS. caption, coco, karpathy: data.caption_instruction and a
/// caption as a conversation about an image; llava: conversations, with an image or without. Images are not
/// opened.
///
/// Rows whose text or answer is blank, and with on_long_example truncate those whose prompt alone fills
/// max_seq_length, are left out: the report counts them and names the first, and a warning says so.
///
/// Throws ConfigError for a file that does not exist, a format that can't be told, or a prompt template that
/// needs control tokens which the vocabulary lacks, and DataError that lists
/// the first 20 bad examples with their number. Errors name file and line (JSONL), row (JSON array) or first
/// line (text): a row of a wrong type or without what its format asks for, a row of another format, broken
/// JSON, text that is not UTF-8, an example that is too long when on_long_example is fail, a file of which no
/// example is left, one that changes while it is read. Interrupted after SIGINT or SIGTERM where StopSignals
/// watches for them.
LoadedDataset load_dataset(const std::vector<DataFileSettings>& files, const DataSettings& settings,
                           const Tokenizer& tokenizer, CacheUse cache_use = CacheUse::when_large);

/// SHA-256 of the content of all `files`, one after another. Hashes of large files are remembered in the
/// cache's folder while the files stay as they are. Throws IoError, and DataError for a file that changes
/// meanwhile.
std::string hash_contents(const std::vector<DataFileSettings>& files, const std::string& cache_dir);

/// Leaves out the examples that show one of `images`; the reports count them. `ends`: tokens that end an
/// answer. Throws DataError when no example is left.
void leave_out_images(LoadedDataset& loaded, const std::set<std::string>& images,
                      const std::set<TokenId>& ends);

/// The dataset split as `val_size` says: the last val_size examples are the second part (an empty dataset for
/// 0). Throws ConfigError when nothing would be left to train on.
std::pair<std::unique_ptr<Dataset>, std::unique_ptr<Dataset>> split_dataset(std::unique_ptr<Dataset> all,
                                                                            int64_t val_size);

}  // namespace excitor
