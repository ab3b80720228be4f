// The decision of successive halving at a rung.
#pragma once

#include <cstddef>
#include <vector>

namespace excitor {

/// The places of the keys (the lower the better; infinite: no figure) that go on when `keep` of them do,
/// rounded up, at least one. Of equal keys the first ones go on.
std::vector<size_t> survivors(const std::vector<double>& keys, double keep);

}  // namespace excitor
