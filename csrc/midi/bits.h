// A set of small numbers: what std::bitset is, for host and device.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace amt::midi {

template <int kSize>
class Bits {
 public:
  Bits() = default;
  AMT_HD static Bits all() { return ~Bits(); }
  // The numbers from `first` on, which is at least 0.
  AMT_HD static Bits from(int first) {
    Bits bits = all();
    for (int word = 0; word < kWords; ++word) bits.words_[word] &= ~below(first - 64 * word);
    return bits;
  }

  AMT_HD bool operator[](int number) const { return (words_[number / 64] >> (number % 64) & 1) != 0; }
  AMT_HD void set(int number, bool is_in = true) {
    const uint64_t bit = uint64_t{1} << (number % 64);
    uint64_t& word = words_[number / 64];
    word = is_in ? word | bit : word & ~bit;
  }

  AMT_HD bool any() const {
    uint64_t found = 0;
    for (const uint64_t word : words_) found |= word;
    return found != 0;
  }
  AMT_HD bool any_below(int end) const {
    uint64_t found = 0;
    for (int word = 0; word < kWords; ++word) found |= words_[word] & below(end - 64 * word);
    return found != 0;
  }
  AMT_HD int count() const {
    int num = 0;
    for (const uint64_t word : words_) num += count_ones(word);
    return num;
  }
  // The least number that is in the set and at least `first`, or kSize.
  AMT_HD int next(int first) const {
    for (int word = first / 64; word < kWords; ++word) {
      const uint64_t rest = words_[word] & ~below(first - 64 * word);
      if (rest != 0) return 64 * word + lowest_one(rest);
    }
    return kSize;
  }

  AMT_HD Bits& operator&=(const Bits& other) {
    for (int word = 0; word < kWords; ++word) words_[word] &= other.words_[word];
    return *this;
  }
  AMT_HD Bits& operator|=(const Bits& other) {
    for (int word = 0; word < kWords; ++word) words_[word] |= other.words_[word];
    return *this;
  }
  AMT_HD friend Bits operator&(Bits a, const Bits& b) { return a &= b; }
  AMT_HD friend Bits operator|(Bits a, const Bits& b) { return a |= b; }
  AMT_HD friend Bits operator~(Bits bits) {
    for (uint64_t& word : bits.words_) word = ~word;
    bits.words_[kWords - 1] &= below(kSize - 64 * (kWords - 1));
    return bits;
  }

 private:
  static constexpr int kWords = (kSize + 63) / 64;

  // The bits of a word below a place, which may lie outside of it.
  AMT_HD static uint64_t below(int end) {
    if (end <= 0) return 0;
    return end >= 64 ? ~uint64_t{0} : (uint64_t{1} << end) - 1;
  }

  uint64_t words_[kWords] = {};
};

}  // namespace amt::midi
