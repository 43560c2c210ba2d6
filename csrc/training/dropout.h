// Which weights dropout keeps, as `kept_weights` in amt/ops/reference/attention.py draws them: a byte of the
// Philox4x32-10 words of counter (row, column / 16, batch * num_heads + head, 1). Of 16 columns, word n has 2n, 2n + 1,
// 8 + 2n and 9 + 2n in its bytes, the lowest first. Here for many rows at once.
#pragma once

#include "lanes.h"

namespace amt::training {
namespace {

constexpr int64_t kDrawsPerCall = 16;
constexpr uint64_t kDropoutPurpose = 1;

// Numbers of 32 bits in lanes of 64; what the upper halves hold does not matter.
#if defined(__AVX512F__)
constexpr int kWideLanes = 8;
#elif defined(__AVX2__)
constexpr int kWideLanes = 4;
#else
constexpr int kWideLanes = 2;
#endif
using Wide = uint64_t __attribute__((vector_size(8 * kWideLanes)));

inline Wide multiply_wide(Wide a, uint64_t b) {
#if defined(__AVX512F__)
  return reinterpret_cast<Wide>(
      _mm512_mul_epu32(reinterpret_cast<__m512i>(a), _mm512_set1_epi64(static_cast<int64_t>(b))));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), _mm256_set1_epi64x(static_cast<int64_t>(b))));
#else
  return (a & 0xffffffff) * b;
#endif
}

struct Draws {
  uint64_t seed, batch_head;
  uint32_t threshold;
  float keep_scale;

  Draws(const AttentionCall& call, int64_t batch, int64_t head)
      : seed(call.seed),
        batch_head(static_cast<uint64_t>(batch * call.num_heads + head)),
        threshold(call.dropout_threshold),
        keep_scale(call.keep_scale) {}

  // factors[k][i], for k < 16 and i < 16: of key first_key + k, a multiple of 16, and query first_query + i: 0 where
  // the weight is dropped, else keep_scale.
  void factors(int64_t first_key, int64_t first_query, float (*out)[kLanes]) const {
    alignas(64) uint64_t words[4][kLanes];
    for (int part = 0; part < kLanes / kWideLanes; ++part) {
      uint64_t rows[kWideLanes];
      for (int i = 0; i < kWideLanes; ++i) rows[i] = static_cast<uint64_t>(first_query + part * kWideLanes + i);
      Wide counter[4] = {Wide{}, Wide{} + static_cast<uint64_t>(first_key / kDrawsPerCall), Wide{} + batch_head,
                         Wide{} + kDropoutPurpose};
      __builtin_memcpy(&counter[0], rows, sizeof(Wide));
      uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
      for (int round = 0; round < 10; ++round) {
        const Wide product0 = multiply_wide(counter[0], 0xD2511F53), product1 = multiply_wide(counter[2], 0xCD9E8D57);
        counter[0] = (product1 >> 32) ^ counter[1] ^ key[0];
        counter[1] = product1;
        counter[2] = (product0 >> 32) ^ counter[3] ^ key[1];
        counter[3] = product0;
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
      }
      for (int word = 0; word < 4; ++word) {
        __builtin_memcpy(words[word] + part * kWideLanes, &counter[word], sizeof(Wide));
      }
    }
    for (int word = 0; word < 4; ++word) {
      for (int i = 0; i < kLanes; ++i) {
        const auto bits = static_cast<uint32_t>(words[word][i]);
        for (int byte = 0; byte < 4; ++byte) {
          out[2 * word + byte % 2 + 8 * (byte / 2)][i] = (bits >> 8 * byte & 0xff) >= threshold ? keep_scale : 0.0f;
        }
      }
    }
  }
};

}  // namespace
}  // namespace amt::training
