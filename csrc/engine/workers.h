// Who shares the loops of a search over the vocabulary: one thread on a CPU (Alone), a block of threads on a GPU
// (kernels/cuda/block.cuh). Both run the same functions; a loop goes
//
//   for (int64_t id = workers.first(); id < vocab_size; id += workers.step())
//
// and behind it `wait` lets all see what was written. Where several write the same number to one place, they `put` it.
// What `max` and `any` give is the same for all workers. A sum whose order counts is made by the first worker alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "host_device.h"

// What nvcc shall not copy to where it is called: long functions, of which it would otherwise make one that takes
// minutes to compile.
#ifdef __CUDACC__
#define AMT_APART __noinline__
#else
#define AMT_APART
#endif

namespace amt::engine {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Alone {
  static constexpr bool kIsAlone = true;
  static constexpr int64_t first() { return 0; }
  static constexpr int64_t step() { return 1; }
  static constexpr bool is_first() { return true; }
  static void wait() {}
  static void put(float number, float& place) { place = number; }
  static float max(float mine) { return mine; }
  static bool any(bool mine) { return mine; }
};

// The largest value of a row; -inf if there is nothing else.
template <class Workers>
AMT_HD float row_max(const Workers& workers, const float* x, int64_t num) {
  if constexpr (Workers::kIsAlone) {  // in lanes, because a compiler may not reorder a single chain of comparisons
    constexpr int64_t kLanes = 16;
    float lanes[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] = -kInfinity;
    int64_t i = 0;
    for (; i + kLanes <= num; i += kLanes) {
      const float* block = x + i;
      for (int64_t j = 0; j < kLanes; ++j) lanes[j] = block[j] > lanes[j] ? block[j] : lanes[j];
    }
    float max = -kInfinity;
    for (; i < num; ++i) max = x[i] > max ? x[i] : max;
    for (const float lane : lanes) max = lane > max ? lane : max;
    return max;
  } else {
    float max = -kInfinity;
    for (int64_t i = workers.first(); i < num; i += workers.step()) max = x[i] > max ? x[i] : max;
    return workers.max(max);
  }
}

// Whether all are below infinity, which NaN is not.
template <class Workers>
AMT_HD bool are_below_infinity(const Workers& workers, const float* x, int64_t num) {
  int is_all_below = 1;
  for (int64_t i = workers.first(); i < num; i += workers.step()) is_all_below &= x[i] < kInfinity;
  return !workers.any(is_all_below == 0);
}

template <class Workers, class T>
AMT_HD void fill(const Workers& workers, T* to, int64_t num, T value) {
  for (int64_t i = workers.first(); i < num; i += workers.step()) to[i] = value;
}

template <class Workers, class T>
AMT_HD void copy(const Workers& workers, const T* from, int64_t num, T* to) {
  for (int64_t i = workers.first(); i < num; i += workers.step()) to[i] = from[i];
}

// Sorts by an order in which no two items are equal, so that every way of sorting gives the same. All workers see it.
template <class Workers, class T, class IsBefore>
AMT_APART AMT_HD void sort(const Workers& workers, T* items, int64_t num, IsBefore is_before) {
  if constexpr (Workers::kIsAlone) {
    std::sort(items, items + num, is_before);
  } else {
    // Bitonic, with every comparison in one direction: what would lie behind the end counts as last, and stays there.
    int64_t padded = 1;
    while (padded < num) padded *= 2;
    const auto put_in_order = [&](int64_t i, int64_t j) {
      if (j <= i || j >= num || !is_before(items[j], items[i])) return;
      const T item = items[i];
      items[i] = items[j];
      items[j] = item;
    };
    workers.wait();
    for (int64_t size = 2; size <= padded; size *= 2) {
      for (int64_t i = workers.first(); i < num; i += workers.step()) put_in_order(i, i ^ (size - 1));
      workers.wait();
      for (int64_t stride = size / 4; stride > 0; stride /= 2) {
        for (int64_t i = workers.first(); i < num; i += workers.step()) put_in_order(i, i ^ stride);
        workers.wait();
      }
    }
  }
}

}  // namespace amt::engine
