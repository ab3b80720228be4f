#include "file_tokeniser.h"

#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/file_stamp.h>
#include <excitor/util/signals.h>

#include "source_reader.h"

namespace excitor {
namespace {

// A batch: enough for all threads, little beside a model.
constexpr size_t kBatchBytes = size_t{2} << 20;
constexpr size_t kBatchSources = 4096;

/// What ends the examples of a file.
std::set<TokenId> ends_of(const FileTask& task) {
  if (uses_template(task.file.format)) return task.prompt_template.end_ids(task.tokenizer);
  return {task.tokenizer.eos()};
}

/// Gathers the rows of a file and tokenises them batch by batch.
class Batches {
 public:
  Batches(const FileTask& task, int64_t skip, RowErrors& errors, const BatchSink& sink)
      : task_(task), ends_(ends_of(task)), skip_(skip), errors_(errors), sink_(sink) {}

  void add(SourceExample source) {
    if (sources_++ < skip_ || has_bad_rows_) return;
    bytes_ += source.text_bytes();
    batch_.push_back(std::move(source));
    if (bytes_ >= kBatchBytes || batch_.size() >= kBatchSources) finish();
  }

  void finish() {
    if (const int signal = StopSignals::requested(); signal != 0)
      throw Interrupted(fmt::format("{}: stopped while it was tokenised", task_.file.path), signal);
    // Errors of tokenising do not count: so that all of them are named, it goes on.
    has_bad_rows_ = errors_.count() > errors_of_tokenising_;
    if (!batch_.empty() && !has_bad_rows_) {
      const Tokenised tokenised = tokenise(batch_, task_.settings, task_.tokenizer, ends_);
      errors_.append(tokenised.errors);
      errors_of_tokenising_ += tokenised.errors.count();
      sink_(tokenised, sources_);
    }
    batch_.clear();
    bytes_ = 0;
  }

 private:
  const FileTask& task_;
  const std::set<TokenId> ends_;
  const int64_t skip_;
  RowErrors& errors_;
  const BatchSink& sink_;
  std::vector<SourceExample> batch_;
  size_t bytes_ = 0;
  int64_t sources_ = 0;
  int64_t errors_of_tokenising_ = 0;
  bool has_bad_rows_ = false;
};

}  // namespace

FileSummary tokenise_file(const FileTask& task, int64_t skip, RowErrors& errors, const BatchSink& sink) {
  if (uses_template(task.file.format)) task.prompt_template.check(task.tokenizer);
  const FileStamp before = stamp_of(task.file.path);
  FileSummary summary;
  RowErrors own_errors;
  Batches batches(task, skip, own_errors, sink);
  const SourceFile source_file{.file = task.file,
                               .prompt_template = task.prompt_template,
                               .caption_instruction = task.settings.caption_instruction};
  read_sources(source_file, own_errors, summary.report, [&](SourceExample source) {
    summary.origins_are_lines = source.origin.is_line;
    batches.add(std::move(source));
  });
  batches.finish();
  if (stamp_of(task.file.path) != before)
    throw DataError(task.file.path + ": the file changed while it was read; start again once it is complete");
  errors.append(own_errors);
  return summary;
}

}  // namespace excitor
