// Sorts items by a 64-bit key: one pass to buckets by the key's high bits, then insertion inside the buckets.
//
// Music spreads over its time, so a bucket holds the few events of a moment, often in order already. A bucket with more
// is sorted by comparison, so that no input takes more than n log n steps. Not stable.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace amt::midi {

// Sorts `num_items` items with the help of as many at `scratch`, and returns which of the two holds the result.
template <typename Item, typename KeyOf>
Item* bucket_sort(Item* items, size_t num_items, Item* scratch, KeyOf key_of) {
  constexpr uint32_t kMostForInsertion = 32;  // a power of two
  const auto is_before = [&key_of](const Item& a, const Item& b) { return key_of(a) < key_of(b); };
  if (std::is_sorted(items, items + num_items, is_before)) return items;
  uint64_t all_bits = 0;
  for (size_t i = 0; i < num_items; ++i) all_bits |= key_of(items[i]);
  int shift = 0;  // at most two buckets an item
  while (all_bits >> shift >= 2 * num_items) ++shift;
  std::vector<uint32_t> places((all_bits >> shift) + 1);  // where a bucket starts, then where it ends
  for (size_t i = 0; i < num_items; ++i) ++places[key_of(items[i]) >> shift];
  uint32_t total = 0;
  uint32_t count_bits = 0;
  for (uint32_t& place : places) {
    const uint32_t count = place;
    count_bits |= count;
    place = total;
    total += count;
  }
  for (size_t i = 0; i < num_items; ++i) scratch[places[key_of(items[i]) >> shift]++] = items[i];
  if (count_bits >= kMostForInsertion) {
    uint32_t start = 0;
    for (const uint32_t end : places) {
      if (end - start > kMostForInsertion) std::sort(scratch + start, scratch + end, is_before);
      start = end;
    }
  }
  for (size_t i = 1; i < num_items; ++i) {
    const Item item = scratch[i];
    size_t place = i;
    for (; place > 0 && is_before(item, scratch[place - 1]); --place) scratch[place] = scratch[place - 1];
    scratch[place] = item;
  }
  return scratch;
}

}  // namespace amt::midi
