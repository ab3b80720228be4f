#include <excitor/util/random.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>

namespace excitor {
namespace {

// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014; the
// constants are those of Vigna's public-domain splitmix64.c).
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ull;

constexpr uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

}  // namespace

// mix(0) is 0, so stream 0 is plain SplitMix64 of the seed. Mixing throws neighbouring streams far apart on
// the generator's one cycle of 2^64 states.
Random::Random(uint64_t seed, uint64_t stream) : state_(seed + mix(stream)) {}

uint64_t Random::next_u64() {
  return mix(state_ += kGolden);
}

double Random::uniform() {
  return static_cast<double>(next_u64() >> 11) * 0x1p-53;
}

// The second normal number of a pair is not kept: the generator's whole state stays one integer.
double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));  // 1 - uniform() lies in (0, 1]
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

// Lemire, "Fast random integer generation in an interval" (2019): the high half of a product, and the few low
// halves that would favour some results are drawn again.
uint64_t Random::below(uint64_t bound) {
  if (bound == 0) throw std::logic_error("Random::below: the bound is 0");
  const uint64_t biased_below = -bound % bound;  // 2^64 mod bound
  for (;;) {
    const auto product = static_cast<unsigned __int128>(next_u64()) * bound;
    if (static_cast<uint64_t>(product) >= biased_below) return static_cast<uint64_t>(product >> 64);
  }
}

uint64_t stream_of(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

std::vector<int64_t> permutation(int64_t n, Random random) {
  if (n < 0) throw std::logic_error("permutation: a negative length");
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace excitor
