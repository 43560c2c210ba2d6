// 16 floats in two registers of AVX2 with FMA. What each function means is said in simd_generic.h. With AVX-VNNI the
// products of bytes take one instruction in place of three.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace amt::engine {
namespace {

struct Vec {
  __m256 low, high;
};

// Not __m256i, whose lanes are of 64 bits: gcc would copy every sum between the two types, and with many sums to the
// stack.
using Int8Lanes = int32_t __attribute__((vector_size(32)));
struct Ints {
  Int8Lanes low, high;
};

constexpr int kMaxRows = 6, kMaxSums = 6;
constexpr int kMaxRowsInt8 = 4, kMaxSumsInt8 = 4;

inline Vec set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }

inline Vec load(const float* values) { return {_mm256_loadu_ps(values), _mm256_loadu_ps(values + 8)}; }
inline void store(float* values, Vec v) {
  _mm256_storeu_ps(values, v.low);
  _mm256_storeu_ps(values + 8, v.high);
}

inline __m256i load_raw(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

inline __m256 widen(const uint16_t* values) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline Vec load(const uint16_t* values) { return {widen(values), widen(values + 8)}; }

inline __m256 widen(const int8_t* values) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(values));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
inline Vec load(const int8_t* values) { return {widen(values), widen(values + 8)}; }

inline __m256i round_to_bfloat16(__m256 v) {  // in the low halves
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256 is_nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
  return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan)), 16);
}
inline void store(uint16_t* values, Vec v) {
  const __m256i packed = _mm256_packus_epi32(round_to_bfloat16(v.low), round_to_bfloat16(v.high));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), _mm256_permute4x64_epi64(packed, 0xd8));
}

inline void load_pairs(const uint16_t* values, Vec& first, Vec& second) {
  const __m256i low = load_raw(values), high = load_raw(values + 16);
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  first = {_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))};
  second = {_mm256_castsi256_ps(_mm256_and_si256(low, upper)), _mm256_castsi256_ps(_mm256_and_si256(high, upper))};
}

inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
inline Vec multiply_add(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
inline Vec absolute(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
inline Vec exponent_from_bits(Vec v, int32_t offset) {
  const auto shift = [offset](__m256 part) {
    const __m256i bits = _mm256_add_epi32(_mm256_castps_si256(part), _mm256_set1_epi32(offset));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
  };
  return {shift(v.low), shift(v.high)};
}

inline __m256 fold_two(Vec a, Vec b) {
  const __m256 x = _mm256_add_ps(a.low, a.high), y = _mm256_add_ps(b.low, b.high);
  return _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
}
inline Vec fold_quads(Vec a, Vec b, Vec c, Vec d) { return {fold_two(a, b), fold_two(c, d)}; }
inline Vec add_quads(Vec a, Vec b, Vec c, Vec d) {
  return {_mm256_hadd_ps(_mm256_hadd_ps(a.low, b.low), _mm256_hadd_ps(c.low, d.low)),
          _mm256_hadd_ps(_mm256_hadd_ps(a.high, b.high), _mm256_hadd_ps(c.high, d.high))};
}

inline Ints zero_ints() { return {Int8Lanes(), Int8Lanes()}; }

inline __m256i four_bytes(const int8_t* x) {
  int32_t bits;
  __builtin_memcpy(&bits, x, 4);
  return _mm256_set1_epi32(bits);
}

#ifdef __AVXVNNI__
struct Bytes {
  __m256i x;
};
constexpr int32_t kByteOffset = 128;  // the instruction wants one side without sign

inline Bytes broadcast_bytes(const int8_t* x) { return {_mm256_xor_si256(four_bytes(x), _mm256_set1_epi8(-128))}; }
inline Int8Lanes dot_half(Int8Lanes sums, __m256i weights, Bytes x) {
  return reinterpret_cast<Int8Lanes>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(sums), x.x, weights));
}
#else
struct Bytes {
  __m256i x, magnitude;
};
constexpr int32_t kByteOffset = 0;

inline Bytes broadcast_bytes(const int8_t* x) {
  const __m256i bytes = four_bytes(x);
  return {bytes, _mm256_abs_epi8(bytes)};
}
// vpmaddubsw multiplies unsigned by signed and saturates; |x| times the weight with x's sign cannot: two products of
// 127 * 127 are 32258.
inline Int8Lanes dot_half(Int8Lanes sums, __m256i weights, Bytes x) {
  const __m256i pairs = _mm256_maddubs_epi16(x.magnitude, _mm256_sign_epi8(weights, x.x));
  return sums + reinterpret_cast<Int8Lanes>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif

inline void dot(Ints& sums, const int8_t* weights, Bytes x) {
  sums.low = dot_half(sums.low, load_raw(weights), x);
  sums.high = dot_half(sums.high, load_raw(weights + 32), x);
}

inline __m256 to_floats_half(Int8Lanes lanes, const int32_t* row_sums) {
  __m256i sums = reinterpret_cast<__m256i>(lanes);
  if constexpr (kByteOffset != 0) {
    sums = _mm256_sub_epi32(sums, _mm256_mullo_epi32(load_raw(row_sums), _mm256_set1_epi32(kByteOffset)));
  }
  return _mm256_cvtepi32_ps(sums);
}
inline Vec to_floats(Ints sums, const int32_t* row_sums) {
  return {to_floats_half(sums.low, row_sums), to_floats_half(sums.high, row_sums + 8)};
}

inline void store_bytes(int8_t* bytes, Vec v) {
  const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.low), _mm256_cvtps_epi32(v.high));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
  const __m128i packed = _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), packed);
}

inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
inline void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace
}  // namespace amt::engine

#include "simd_parts.h"
