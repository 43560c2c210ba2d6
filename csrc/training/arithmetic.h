// The numbers that are multiplied and how they lie in memory. An arithmetic has
//   Number, kStep    their type, and how many of the depth of a product are multiplied together
//   kGrain           what tiles are cut into: every range of queries or keys is a multiple of it
//   kPadding         head_dim is padded with zeros to a multiple of it
//   multiply         a product of small matrices; see products.h
//   pack_columns     rows (kTile, dim) -> the packed operand of depth dim with kTile columns
//   pack_rows        rows (kTile, dim) -> the packed operand of depth kTile with dim columns
//   turn             rows (kTile, dim) -> (dim, kTile)
//   put_packed       two rows of 16 weights, 2 i and 2 i + 1 of kTile columns, into a packed operand
//   put_rows         the same, row by row
//   begin, end       around all products of a thread
#pragma once

#include "products.h"
#include "transpose.h"

namespace amt::training {
namespace {

struct Float32 {
  using Number = float;
  using Packed = Vec;
  static constexpr int64_t kStep = 1, kGrain = 16, kPadding = 16;

  static void begin() {}
  static void end() {}

  static Packed load_packed(const float* b) { return load(b); }
  static Packed repeat(const float* a) { return set1(*a); }
  static Vec add_product(Vec sum, Packed a, Packed b) { return multiply_add(a, b, sum); }
  static void multiply(const Product<float>& product) { multiply_in_registers<Float32>(product); }

  static void pack_columns(const float* rows, int64_t dim, float* packed) {
    transpose(rows, dim, kTile, dim, packed, kTile);
  }
  static void pack_rows(const float* rows, int64_t dim, float* packed) {
    __builtin_memcpy(packed, rows, kTile * dim * sizeof(float));
  }
  static void turn(const float* rows, int64_t dim, float* turned) { transpose(rows, dim, kTile, dim, turned, kTile); }

  static void put_packed(float* packed, Vec first, Vec second) {
    store(packed, first);
    store(packed + kTile, second);
  }
  static void put_rows(float* rows, Vec first, Vec second) { put_packed(rows, first, second); }
};

// bfloat16 in pairs; what it lacks is `multiply`.
struct Bfloat16Pairs {
  using Number = uint16_t;
  static constexpr int64_t kStep = 2, kPadding = 32;

  static void begin() {}
  static void end() {}

  static void pack_columns(const uint16_t* rows, int64_t dim, uint16_t* packed) {
    transpose(rows, dim / 2, kTile, dim / 2, packed, kTile);
  }
  static void pack_rows(const uint16_t* rows, int64_t dim, uint16_t* packed) {
    for (int64_t pair = 0; pair < kTile / 2; ++pair, rows += 2 * dim, packed += 2 * dim) {
      Unit* __restrict units = reinterpret_cast<Unit*>(packed);
      for (int64_t i = 0; i < dim; ++i) units[i] = rows[i] | static_cast<uint32_t>(rows[dim + i]) << 16;
    }
  }
  static void turn(const uint16_t* rows, int64_t dim, uint16_t* turned) {
    alignas(64) Unit pairs[kMaxHeadDim / 2 * kTile];
    transpose(rows, dim / 2, kTile, dim / 2, pairs, kTile);
    for (int64_t i = 0; i < dim; i += 2, turned += 2 * kTile) {
      const Unit* from = pairs + i / 2 * kTile;
      for (int64_t row = 0; row < kTile; ++row) turned[row] = static_cast<uint16_t>(from[row]);
      for (int64_t row = 0; row < kTile; ++row) turned[kTile + row] = static_cast<uint16_t>(from[row] >> 16);
    }
  }

#if defined(__AVX512BF16__)
  static __m512i rounded(Vec first, Vec second) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second.v, first.v));
  }
  static void put_packed(uint16_t* packed, Vec first, Vec second) {
    alignas(64) static constexpr uint16_t kOrder[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    _mm512_storeu_si512(packed, _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), rounded(first, second)));
  }
  static void put_rows(uint16_t* rows, Vec first, Vec second) {
    const __m512i both = rounded(first, second);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(rows), _mm512_castsi512_si256(both));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(rows + kTile), _mm512_extracti64x4_epi64(both, 1));
  }
#else
  static void put_packed(uint16_t* packed, Vec first, Vec second) {
    uint16_t numbers[2][kLanes];
    store(numbers[0], first);
    store(numbers[1], second);
    for (int i = 0; i < kLanes; ++i) {
      packed[2 * i] = numbers[0][i];
      packed[2 * i + 1] = numbers[1][i];
    }
  }
  static void put_rows(uint16_t* rows, Vec first, Vec second) {
    store(rows, first);
    store(rows + kTile, second);
  }
#endif
};

}  // namespace
}  // namespace amt::training
