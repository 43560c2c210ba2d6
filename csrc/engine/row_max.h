// The largest value of a row of scores.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace amt::engine {

// -inf if there is nothing else. Compares in lanes, because a compiler may not reorder a single chain of them.
inline float row_max(const float* x, int64_t num) {
  constexpr int64_t kLanes = 16;
  std::array<float, kLanes> lanes;
  lanes.fill(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= num; i += kLanes) {
    const float* block = x + i;
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] = block[j] > lanes[j] ? block[j] : lanes[j];
  }
  float max = -std::numeric_limits<float>::infinity();
  for (; i < num; ++i) max = x[i] > max ? x[i] : max;
  for (const float lane : lanes) max = lane > max ? lane : max;
  return max;
}

}  // namespace amt::engine
