// Philox4x32-10: random bits as a pure function of a key and a counter, so that a draw depends on (seed, step,
// sequence) and on nothing that was drawn before. Must equal amt/ops/reference/philox.py.
//
// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; constants and rounds of Random123.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace amt::engine {

struct FourWords {
  uint32_t words[4];
};

AMT_HD inline FourWords philox4x32(FourWords counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint32_t (&words)[4] = counter.words;
    const uint64_t product0 = uint64_t{0xD2511F53} * words[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * words[2];
    counter = {{static_cast<uint32_t>(product1 >> 32) ^ words[1] ^ key0, static_cast<uint32_t>(product1),
                static_cast<uint32_t>(product0 >> 32) ^ words[3] ^ key1, static_cast<uint32_t>(product0)}};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return counter;
}

// The number in [0, 1) that picks a token, a multiple of 2^-24. step: the token's position in its sequence, bos at 0;
// sequence: the index of the sequence within its prompt.
AMT_HD inline double uniform(uint64_t seed, uint32_t step, uint32_t sequence) {
  const FourWords drawn =
      philox4x32({{step, sequence, 0, 0}}, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return (drawn.words[0] >> 8) / double{1 << 24};
}

}  // namespace amt::engine
