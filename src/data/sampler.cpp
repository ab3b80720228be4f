#include <excitor/data/sampler.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include <excitor/util/error.h>
#include <excitor/util/random.h>

namespace excitor {
namespace {

/// The whole repetitions of a range, and the examples of one more that is cut short.
struct Repetitions {
  int64_t whole = 0;
  int64_t chosen = 0;
};

Repetitions repetitions_of(const WeightedRange& range) {
  const double whole = std::floor(range.weight);
  const auto size = static_cast<double>(range.end - range.begin);
  return {.whole = static_cast<int64_t>(whole), .chosen = std::llround((range.weight - whole) * size)};
}

int64_t count_examples(const Sampler::Options& options) {
  if (options.weights.empty()) return options.examples;
  double count = 0;
  for (const WeightedRange& range : options.weights) {
    const auto [whole, chosen] = repetitions_of(range);
    count += static_cast<double>(whole) * static_cast<double>(range.end - range.begin) +
             static_cast<double>(chosen);
  }
  if (count < 1 || count > 0x1p31) {
    throw ConfigError(
        fmt::format("data.train: by their weights an epoch holds {:.0f} of {} examples; change the weights",
                    count, options.examples));
  }
  return static_cast<int64_t>(count);
}

/// `count` of the indices [0, size), in their order.
std::vector<int64_t> choose(int64_t count, int64_t size, Random random) {
  std::vector<int64_t> chosen = permutation(size, random);
  chosen.resize(static_cast<size_t>(count));
  std::ranges::sort(chosen);
  return chosen;
}

/// The examples of an epoch before they are shuffled: in the order of the files.
std::vector<int64_t> examples_of_epoch(const Sampler::Options& options, int64_t epoch) {
  std::vector<int64_t> examples;
  for (size_t r = 0; r < options.weights.size(); ++r) {
    const WeightedRange& range = options.weights[r];
    const int64_t size = range.end - range.begin;
    const auto [whole, chosen] = repetitions_of(range);
    for (int64_t i = 0; i < whole * size; ++i) examples.push_back(range.begin + i % size);
    if (chosen == 0) continue;
    const Random random(options.seed, stream_of(fmt::format("data.weight.{}.{}", r, epoch)));
    for (const int64_t i : choose(chosen, size, random)) examples.push_back(range.begin + i);
  }
  return examples;
}

std::vector<int64_t> order_of_epoch(const Sampler::Options& options, int64_t count, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (options.shuffle)
    order = permutation(count, Random(options.seed, stream_of("data.epoch." + std::to_string(epoch))));
  if (options.weights.empty()) return order;
  const std::vector<int64_t> examples = examples_of_epoch(options, epoch);
  for (int64_t& index : order) index = examples[static_cast<size_t>(index)];
  return order;
}

}  // namespace

std::vector<WeightedRange> weighted_ranges(const std::vector<LoadedFile>& files, int64_t training_examples) {
  std::vector<WeightedRange> ranges;
  int64_t begin = 0;
  for (const LoadedFile& file : files) {
    const int64_t end = std::min(begin + file.report.examples, training_examples);
    if (begin < end) ranges.push_back({.begin = begin, .end = end, .weight = file.weight});
    begin = end;
  }
  const bool all_one = std::ranges::all_of(ranges, [](const WeightedRange& r) { return r.weight == 1; });
  return all_one ? std::vector<WeightedRange>() : ranges;
}

Sampler::Sampler(const Options& options) : options_(options) {
  if (options.examples < 1 || options.global_batch_size < 1)
    throw std::logic_error("Sampler: nothing to deal out");
  examples_per_epoch_ = count_examples(options_);
}

int64_t Sampler::steps_per_epoch() const {
  return (examples_per_epoch_ + options_.global_batch_size - 1) / options_.global_batch_size;
}

std::vector<int64_t> Sampler::global_batch(int64_t step) {
  const int64_t epoch = step / steps_per_epoch();
  if (epoch != cached_epoch_) {
    order_ = order_of_epoch(options_, examples_per_epoch_, epoch);
    cached_epoch_ = epoch;
  }
  const int64_t begin = step % steps_per_epoch() * options_.global_batch_size;
  const int64_t end = std::min(begin + options_.global_batch_size, examples_per_epoch_);
  return {order_.begin() + begin, order_.begin() + end};
}

double Sampler::epoch_after(int64_t steps) const {
  const int64_t whole = steps / steps_per_epoch();
  const int64_t dealt = steps % steps_per_epoch() * options_.global_batch_size;  // of the unfinished epoch
  return static_cast<double>(whole) + static_cast<double>(dealt) / static_cast<double>(examples_per_epoch_);
}

}  // namespace excitor
