// Philox4x32-10: random bits as a pure function of a key and a counter, so that a draw depends on (seed, step,
// sequence) and on nothing that was drawn before. Must equal amt/ops/reference/philox.py.
//
// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; constants and rounds of Random123.
#pragma once

#include <array>
#include <cstdint>

namespace amt::engine {

inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// The number in [0, 1) that picks a token, a multiple of 2^-24. step: the token's position in its sequence, bos at 0;
// sequence: the index of the sequence within its prompt.
inline double uniform(uint64_t seed, uint32_t step, uint32_t sequence) {
  const auto words =
      philox4x32({step, sequence, 0, 0}, {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return (words[0] >> 8) / double{1 << 24};
}

}  // namespace amt::engine
