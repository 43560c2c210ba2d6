// A stable sort of items by a 64-bit key, by digits of equal width, up to the highest bit in which keys differ.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace amt::midi {

template <typename Items, typename KeyOf>
void sort_by_key(Items& items, Items& scratch, KeyOf key_of) {
  uint64_t varying = 0;
  bool is_sorted = true;
  for (size_t i = 1; i < items.size(); ++i) {
    varying |= key_of(items[i]) ^ key_of(items[i - 1]);
    is_sorted &= key_of(items[i - 1]) <= key_of(items[i]);
  }
  if (is_sorted) return;
  int num_bits = 0;
  while (num_bits < 64 && varying >> num_bits != 0) ++num_bits;
  int most_bits = 4;  // a digit's table has two to four times as many entries as there are items
  while (most_bits < 16 && items.size() >> (most_bits - 2) != 0) ++most_bits;
  const int num_passes = (num_bits + most_bits - 1) / most_bits;
  const int width = (num_bits + num_passes - 1) / num_passes;
  const uint64_t mask = (uint64_t{1} << width) - 1;
  std::vector<uint32_t> starts;
  scratch.resize(items.size());
  for (int shift = 0; shift < num_bits; shift += width) {
    starts.assign(mask + 1, 0);
    for (const auto& item : items) ++starts[key_of(item) >> shift & mask];
    uint32_t total = 0;
    for (uint32_t& start : starts) {
      const uint32_t count = start;
      start = total;
      total += count;
    }
    for (const auto& item : items) scratch[starts[key_of(item) >> shift & mask]++] = item;
    items.swap(scratch);
  }
}

struct Keyed {
  uint64_t key;
  uint32_t payload;
};

inline void sort_by_key(std::vector<Keyed>& items) {
  std::vector<Keyed> scratch;
  sort_by_key(items, scratch, [](const Keyed& item) { return item.key; });
}

}  // namespace amt::midi
