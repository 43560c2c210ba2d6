// A stable sort of 64-bit keys with a payload, by digits of equal width, from the lowest bit in which keys differ.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace amt::midi {

struct Keyed {
  uint64_t key;
  uint32_t payload;
};

inline void sort_by_key(std::vector<Keyed>& items) {
  constexpr int kMostBits = 11;
  uint64_t varying = 0;
  bool is_sorted = true;
  for (size_t i = 1; i < items.size(); ++i) {
    varying |= items[i].key ^ items[i - 1].key;
    is_sorted &= items[i - 1].key <= items[i].key;
  }
  if (is_sorted) return;
  if (items.size() < 128) {
    std::stable_sort(items.begin(), items.end(), [](const Keyed& a, const Keyed& b) { return a.key < b.key; });
    return;
  }
  int num_bits = 0;
  while (num_bits < 64 && varying >> num_bits != 0) ++num_bits;
  const int num_passes = (num_bits + kMostBits - 1) / kMostBits;
  const int width = (num_bits + num_passes - 1) / num_passes;
  const uint64_t mask = (uint64_t{1} << width) - 1;
  std::array<uint32_t, size_t{1} << kMostBits> starts;
  std::vector<Keyed> scratch(items.size());
  for (int shift = 0; shift < num_bits; shift += width) {
    std::fill_n(starts.begin(), mask + 1, 0);
    for (const Keyed& item : items) ++starts[item.key >> shift & mask];
    uint32_t total = 0;
    for (uint64_t digit = 0; digit <= mask; ++digit) {
      const uint32_t count = starts[digit];
      starts[digit] = total;
      total += count;
    }
    for (const Keyed& item : items) scratch[starts[item.key >> shift & mask]++] = item;
    items.swap(scratch);
  }
}

}  // namespace amt::midi
