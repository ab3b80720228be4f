// Random numbers as a function of (seed, stream, counter): the same on every machine, resumable from two
// integers.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace excitor {

/// A counter-based generator (SplitMix64 over seed and stream). Not for cryptography.
class Random {
 public:
  Random(uint64_t seed, uint64_t stream);

  uint64_t next_u64();
  /// Uniform in [0, 1) with 53 bits.
  double uniform();
  /// Standard normal (Box–Muller).
  double normal();
  /// Uniform in [0, bound), without modulo bias. bound > 0.
  uint64_t below(uint64_t bound);

 private:
  uint64_t state_;
};

/// A stream number for a name ("layers.3.lora_A"): FNV-1a, so that initial values do not depend on the order
/// of creation.
uint64_t stream_of(std::string_view name);

/// A permutation of 0..n-1 (Fisher–Yates).
std::vector<int64_t> permutation(int64_t n, Random random);

}  // namespace excitor
