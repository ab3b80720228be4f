// Texts to token ids and labels, in parallel.
#pragma once

#include <set>
#include <vector>

#include <excitor/data/data_settings.h>
#include <excitor/data/dataset_report.h>
#include <excitor/tokenizer/tokenizer.h>

#include "example_arrays.h"
#include "row_errors.h"
#include "source_example.h"

namespace excitor {

/// What tokenising some examples gave.
struct Tokenised {
  ExampleVectors examples;
  DatasetReport report;
  RowErrors errors;

  void append(const Tokenised& later);
};

/// Tokenises in up to 16 threads; the order is kept. `ends`: the tokens that end an answer, of which the
/// report counts the examples. What is wrong with an example goes to `errors`; what is wrong with the machine
/// (no memory) is thrown.
Tokenised tokenise(const std::vector<SourceExample>& sources, const DataSettings& settings,
                   const Tokenizer& tokenizer, const std::set<TokenId>& ends);

}  // namespace excitor
