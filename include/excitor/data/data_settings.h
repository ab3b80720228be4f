// The `data` section of a configuration.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <excitor/util/describe.h>

namespace excitor {

enum class LongExamples { truncate, drop, fail };

struct DataFileSettings {
  std::string path;             ///< relative to the configuration file; absolute once resolved
  std::string format = "auto";  ///< "alpaca" | "sharegpt" | "openai" | "text" | "auto" (what the file says)
  double weight = 1;            ///< times that an epoch sees each example
  void describe(Describer& d);
};

struct DataSettings {
  std::vector<DataFileSettings> train;
  std::vector<DataFileSettings> validation;  ///< instead of val_size
  int64_t val_size = 0;                      ///< the last N examples are held back; 0: none
  Json prompt_template = "alpaca";           ///< a name or an object (PromptTemplate)
  int64_t max_seq_length = 512;              ///< tokens an example may have, BOS and EOS included
  LongExamples on_long_example = LongExamples::truncate;
  bool packing = true;
  bool train_on_inputs = false;
  bool shuffle = true;
  std::string cache_dir = "auto";  ///< a folder, "auto" (below XDG_CACHE_HOME or HOME) or "none"
  void describe(Describer& d);
};

}  // namespace excitor
