#include "tokenise.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/system.h>

#include "left_out.h"

namespace excitor {
namespace {

constexpr size_t kChunk = 64;  // examples a thread takes at a time
constexpr size_t kMaxThreads = 16;

/// Makes examples out of some sources, one after the other.
class ExampleMaker {
 public:
  ExampleMaker(const DataSettings& settings, const Tokenizer& tokenizer, const std::set<TokenId>& ends)
      : settings_(settings), tokenizer_(tokenizer), ends_(ends) {}

  Tokenised make(std::span<const SourceExample> sources) {
    for (const SourceExample& source : sources) {
      try {
        if (source.kind == SourceKind::document)
          add_document(source);
        else
          add_conversation(source);
      } catch (const Error& error) {
        out_.errors.add(fmt::format("{}: {}", source.origin.text(), error.what()));
      }
    }
    return std::move(out_);
  }

 private:
  /// The answers' tokens and what ends them are the labels, or all but BOS.
  void add_conversation(const SourceExample& source) {
    std::vector<TemplatePiece> pieces = source.pieces;
    if (settings_.train_on_inputs) {
      for (TemplatePiece& piece : pieces)
        piece.supervised = piece.kind != TemplatePiece::Kind::bos && !piece.untrained_answer;
    }
    EncodedPieces encoded = tokenizer_.encode_pieces(pieces);
    Example example{.ids = std::move(encoded.ids),
                    .supervised = std::move(encoded.supervised),
                    .image = source.image,
                    .origin = {}};
    if (example.tokens() <= settings_.max_seq_length) return add(example, source.origin);

    if (settings_.on_long_example == LongExamples::truncate)
      add_truncated(example, source.origin);
    else
      refuse_long(example.tokens(), source.origin);
  }

  /// An example of which truncation would leave no label is left out.
  void add_truncated(Example& example, const Origin& origin) {
    const auto prompt_tokens = std::ranges::find(example.supervised, 1) - example.supervised.begin();
    example.ids.resize(static_cast<size_t>(settings_.max_seq_length));
    example.supervised.resize(example.ids.size());
    if (example.labels() == 0) {
      return leave_out(out_.report, LeftOut::prompt_too_long, origin,
                       fmt::format("the prompt alone has {} tokens and data.max_seq_length is {}, so "
                                   "truncation would leave no label",
                                   prompt_tokens, settings_.max_seq_length));
    }
    ++out_.report.truncated;
    add(example, origin);
  }

  /// Windows of max_seq_length tokens, each starting with BOS; the last ends with EOS. All but BOS are
  /// labels.
  void add_document(const SourceExample& source) {
    const std::vector<TokenId> ids = tokenizer_.encode_answer(source.text);
    const auto room = static_cast<size_t>(settings_.max_seq_length - 1);  // a window's tokens beside BOS
    if (ids.size() > room && settings_.on_long_example != LongExamples::truncate) {
      return refuse_long(static_cast<int64_t>(ids.size()) + 1, source.origin);
    }
    if (ids.size() > room) ++out_.report.continued;
    for (size_t begin = 0; begin < ids.size(); begin += room) {
      const size_t end = std::min(begin + room, ids.size());
      Example window{.ids = {tokenizer_.bos()}, .supervised = {0}, .image = {}, .origin = {}};
      window.ids.insert(window.ids.end(), ids.begin() + static_cast<int64_t>(begin),
                        ids.begin() + static_cast<int64_t>(end));
      window.supervised.resize(window.ids.size(), 1);
      add(window, source.origin);
    }
  }

  void refuse_long(int64_t tokens, const Origin& origin) {
    if (settings_.on_long_example == LongExamples::drop) {
      ++out_.report.dropped;
      return;
    }
    out_.errors.add(fmt::format("{}: {} tokens, more than data.max_seq_length {}", origin.text(), tokens,
                                settings_.max_seq_length),
                    "raise data.max_seq_length, or set data.on_long_example to \"truncate\" or \"drop\"");
  }

  void add(const Example& example, const Origin& origin) {
    DatasetReport& report = out_.report;
    ++report.examples;
    report.tokens += example.tokens();
    report.label_tokens += example.labels();
    report.longest = std::max(report.longest, example.tokens());
    report.with_image += example.image.empty() ? 0 : 1;
    const std::optional<TokenId> last = example.last_label();
    report.ending_in_eos += last && ends_.contains(*last) ? 1 : 0;
    out_.examples.append(example, origin.number);
  }

  const DataSettings& settings_;
  const Tokenizer& tokenizer_;
  const std::set<TokenId>& ends_;
  Tokenised out_;
};

/// Calls task(0) … task(count-1), in up to kMaxThreads threads. Throws the first exception of a task.
void run_in_parallel(size_t count, const std::function<void(size_t)>& task) {
  const size_t threads = std::min({count, kMaxThreads, static_cast<size_t>(count_cores().usable)});
  std::atomic<size_t> next = 0;
  std::vector<std::exception_ptr> failures(threads);
  const auto work = [&](size_t thread) {
    try {
      for (size_t i = next++; i < count; i = next++) task(i);
    } catch (...) {
      failures[thread] = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> pool;
    for (size_t t = 1; t < threads; ++t) pool.emplace_back(work, t);
    if (threads > 0) work(0);
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace

void Tokenised::append(const Tokenised& later) {
  examples.append(later.examples.arrays());
  errors.append(later.errors);
  report.add(later.report);
}

Tokenised tokenise(const std::vector<SourceExample>& sources, const DataSettings& settings,
                   const Tokenizer& tokenizer, const std::set<TokenId>& ends) {
  if (settings.max_seq_length < 2) throw std::logic_error("tokenise: max_seq_length holds no label");
  std::vector<Tokenised> chunks((sources.size() + kChunk - 1) / kChunk);
  run_in_parallel(chunks.size(), [&](size_t c) {
    const size_t begin = c * kChunk;
    const size_t size = std::min(kChunk, sources.size() - begin);
    chunks[c] = ExampleMaker(settings, tokenizer, ends).make({sources.data() + begin, size});
  });
  Tokenised all;
  for (Tokenised& chunk : chunks) {
    all.append(chunk);
    chunk = {};  // frees it
  }
  return all;
}

}  // namespace excitor
