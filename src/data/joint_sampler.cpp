#include <excitor/data/joint_sampler.h>

#include <algorithm>

namespace excitor {
namespace {

/// The ranges over the examples of one kind alone, counted among themselves.
std::vector<WeightedRange> ranges_among(const std::vector<int64_t>& indices,
                                        const std::vector<WeightedRange>& ranges) {
  const auto place = [&](int64_t index) {
    return std::ranges::lower_bound(indices, index) - indices.begin();
  };
  std::vector<WeightedRange> own;
  for (const WeightedRange& range : ranges) {
    const WeightedRange among{.begin = place(range.begin), .end = place(range.end), .weight = range.weight};
    if (among.begin < among.end) own.push_back(among);
  }
  return own;
}

}  // namespace

JointSampler::JointSampler(const Sampler::Options& options, const std::vector<bool>& shows_image)
    : global_batch_size_(options.global_batch_size) {
  if (shows_image.empty()) {
    kinds_.push_back({.sampler = Sampler(options), .indices = {}});
  } else {
    for (const bool wanted : {false, true}) add_kind(options, shows_image, wanted);
  }
  take_turns();
}

void JointSampler::add_kind(const Sampler::Options& options, const std::vector<bool>& shows_image,
                            bool wanted) {
  std::vector<int64_t> indices;
  for (size_t i = 0; i < shows_image.size(); ++i) {
    if (shows_image[i] == wanted) indices.push_back(static_cast<int64_t>(i));
  }
  if (indices.empty()) return;
  Sampler::Options own = options;
  own.examples = std::ssize(indices);
  own.weights = ranges_among(indices, options.weights);
  kinds_.push_back({.sampler = Sampler(own), .indices = std::move(indices)});
}

void JointSampler::take_turns() {
  struct Place {
    double position;  ///< in the epoch, from 0 to 1
    Turn turn;
  };
  std::vector<Place> places;
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    const int64_t batches = kinds_[kind].sampler.steps_per_epoch();
    for (int64_t batch = 0; batch < batches; ++batch) {
      places.push_back({.position = (static_cast<double>(batch) + 0.5) / static_cast<double>(batches),
                        .turn = {.kind = kind, .batch = batch}});
    }
  }
  std::ranges::stable_sort(places, {}, &Place::position);
  for (const Place& place : places) turns_.push_back(place.turn);
}

std::vector<int64_t> JointSampler::global_batch(int64_t step) {
  const Turn& turn = turns_[static_cast<size_t>(step % steps_per_epoch())];
  Kind& kind = kinds_[turn.kind];
  const int64_t epoch = step / steps_per_epoch();
  std::vector<int64_t> batch = kind.sampler.global_batch(epoch * kind.sampler.steps_per_epoch() + turn.batch);
  if (kind.indices.empty()) return batch;
  for (int64_t& index : batch) index = kind.indices[static_cast<size_t>(index)];
  return batch;
}

double JointSampler::epoch_after(int64_t steps) const {
  const int64_t whole = steps / steps_per_epoch();
  std::vector<int64_t> batches(kinds_.size());  // of the unfinished epoch
  for (int64_t i = 0; i < steps % steps_per_epoch(); ++i) ++batches[turns_[static_cast<size_t>(i)].kind];
  int64_t dealt = 0, all = 0;
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    const int64_t examples = kinds_[kind].sampler.examples_per_epoch();
    dealt += std::min(batches[kind] * global_batch_size_, examples);
    all += examples;
  }
  return static_cast<double>(whole) + static_cast<double>(dealt) / static_cast<double>(all);
}

}  // namespace excitor
