#include <excitor/data/sampler.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include <excitor/util/random.h>

namespace excitor {
namespace {

std::vector<int64_t> order_of_epoch(const Sampler::Options& options, int64_t epoch) {
  if (options.shuffle)
    return permutation(options.examples,
                       Random(options.seed, stream_of("data.epoch." + std::to_string(epoch))));
  std::vector<int64_t> order(static_cast<size_t>(options.examples));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

}  // namespace

Sampler::Sampler(const Options& options) : options_(options) {
  if (options.examples < 1 || options.global_batch_size < 1)
    throw std::logic_error("Sampler: nothing to deal out");
}

int64_t Sampler::steps_per_epoch() const {
  return (options_.examples + options_.global_batch_size - 1) / options_.global_batch_size;
}

std::vector<int64_t> Sampler::global_batch(int64_t step) {
  const int64_t epoch = step / steps_per_epoch();
  if (epoch != cached_epoch_) {
    order_ = order_of_epoch(options_, epoch);
    cached_epoch_ = epoch;
  }
  const int64_t begin = step % steps_per_epoch() * options_.global_batch_size;
  const int64_t end = std::min(begin + options_.global_batch_size, options_.examples);
  return {order_.begin() + begin, order_.begin() + end};
}

double Sampler::epoch_after(int64_t steps) const {
  const int64_t whole = steps / steps_per_epoch();
  const int64_t dealt = steps % steps_per_epoch() * options_.global_batch_size;  // of the unfinished epoch
  return static_cast<double>(whole) + static_cast<double>(dealt) / static_cast<double>(options_.examples);
}

std::vector<int64_t> share_of_rank(std::span<const int64_t> global_batch, int64_t rank, int64_t world_size) {
  if (world_size < 1 || rank < 0 || rank >= world_size) throw std::logic_error("share_of_rank: no such rank");
  std::vector<int64_t> share;
  for (auto i = static_cast<size_t>(rank); i < global_batch.size(); i += static_cast<size_t>(world_size)) {
    share.push_back(global_batch[i]);
  }
  return share;
}

}  // namespace excitor
