// Splits work into numbered blocks and spreads them over LibTorch's number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#include <ATen/Parallel.h>

namespace excitor {

/// Calls `work(block)` for 0..blocks-1, in any order and on several threads; `work` must not throw. The
/// threads are our own: at::parallel_for runs serially in a source that is compiled without -fopenmp.
/// Starting one takes about 20 µs, so a thread gets at least `blocks_per_thread` blocks.
template <class Work>
void parallel_blocks(int64_t blocks, int64_t blocks_per_thread, const Work& work) {
  const int64_t threads = std::clamp<int64_t>(blocks / blocks_per_thread, 1, at::get_num_threads());
  const auto share = [&](int64_t thread) {
    for (int64_t block = blocks * thread / threads; block < blocks * (thread + 1) / threads; ++block)
      work(block);
  };
  std::vector<std::jthread> others;
  for (int64_t thread = 1; thread < threads; ++thread) others.emplace_back(share, thread);
  share(0);
}

}  // namespace excitor
