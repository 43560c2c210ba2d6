// What runs in CUDA kernels as well as on the CPU: functions marked AMT_HD. They use plain data, bits.h and this file:
// no allocation, no exceptions, nothing of std that runs.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define AMT_HD __host__ __device__
#else
#define AMT_HD
#endif

namespace amt::midi {

template <typename Number>
AMT_HD constexpr Number smaller(Number a, Number b) {
  return b < a ? b : a;
}

template <typename Number>
AMT_HD constexpr Number larger(Number a, Number b) {
  return a < b ? b : a;
}

AMT_HD inline int count_ones(uint64_t word) {
#ifdef __CUDA_ARCH__
  return __popcll(static_cast<long long>(word));
#else
  return __builtin_popcountll(word);
#endif
}

// The place of the lowest bit of a word that is not 0.
AMT_HD inline int lowest_one(uint64_t word) {
#ifdef __CUDA_ARCH__
  return __ffsll(static_cast<long long>(word)) - 1;
#else
  return __builtin_ctzll(word);
#endif
}

}  // namespace amt::midi
