// The loss on running text.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <excitor/data/dataset.h>
#include <excitor/eval/task.h>

namespace excitor {

/// loss: the mean of −log P over all tokens but BOS and EOS; perplexity: its exponential; tokens: how many. A
/// document is a row ("text") of a JSONL file, or a block between blank lines of a text file; one longer than
/// the model's positions lies in windows that do not overlap, each beginning with BOS.
class PerplexityTask final : public ScoredTask {
 public:
  /// Throws ConfigError for a missing file.
  PerplexityTask(std::string name, std::string path, const TaskOptions& options);

  void prepare(const Tokenizer& tokenizer, int64_t context_length) override;
  int64_t samples() const override { return std::ssize(documents_); }
  Json layout() const override;
  TaskScores score(const ScoredModel& scored) const override;

 private:
  std::string path_;
  std::optional<int64_t> limit_;
  int64_t tokens_per_pass_;
  std::vector<std::vector<TokenId>> windows_;  // BOS first, without EOS
  std::vector<size_t> document_of_;            // [window]
  std::vector<std::string> documents_;         // the place of each
};

}  // namespace excitor
