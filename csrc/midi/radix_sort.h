// A stable sort of 64-bit keys with a payload, by 11-bit digits, skipping the digits that all keys share.
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
  constexpr int kBits = 11;
  constexpr size_t kBuckets = size_t{1} << kBits;
  uint64_t varying = 0;
  bool is_sorted = true;
  for (size_t i = 1; i < items.size(); ++i) {
    varying |= items[i].key ^ items[i - 1].key;
    is_sorted &= items[i - 1].key <= items[i].key;
  }
  if (is_sorted) return;
  if (items.size() < 256) {
    std::stable_sort(items.begin(), items.end(), [](const Keyed& a, const Keyed& b) { return a.key < b.key; });
    return;
  }
  std::vector<Keyed> scratch(items.size());
  for (int shift = 0; shift < 64; shift += kBits) {
    if (((varying >> shift) & (kBuckets - 1)) == 0) continue;
    std::array<uint32_t, kBuckets> starts{};
    for (const Keyed& item : items) ++starts[(item.key >> shift) & (kBuckets - 1)];
    uint32_t total = 0;
    for (uint32_t& start : starts) {
      const uint32_t count = start;
      start = total;
      total += count;
    }
    for (const Keyed& item : items) scratch[starts[(item.key >> shift) & (kBuckets - 1)]++] = item;
    items.swap(scratch);
  }
}

}  // namespace amt::midi
