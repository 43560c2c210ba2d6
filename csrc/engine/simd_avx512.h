// 16 floats in one register of AVX-512 (F, BW, DQ, VL). What each function means is said in simd_generic.h. With VNNI
// the products of bytes take one instruction in place of four.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace amt::engine {
namespace {

struct Vec {
  __m512 v;
};

// Not __m512i, whose lanes are of 64 bits: gcc would copy every sum between the two types, and with many sums to the
// stack.
struct Ints {
  int32_t __attribute__((vector_size(64))) v;
};

constexpr int kMaxRows = 8, kMaxSums = 24;

inline Vec set1(float x) { return {_mm512_set1_ps(x)}; }
inline Vec zero() { return {_mm512_setzero_ps()}; }

inline Vec load(const float* values) { return {_mm512_loadu_ps(values)}; }
inline void store(float* values, Vec v) { _mm512_storeu_ps(values, v.v); }

inline __mmask16 first_lanes(int64_t num) { return static_cast<__mmask16>((1u << num) - 1); }
inline Vec load_part(const float* values, int64_t num, float fill) {
  return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(num), values)};
}
inline void store_part(float* values, int64_t num, Vec v) { _mm512_mask_storeu_ps(values, first_lanes(num), v.v); }

inline __m512 widen(__m256i bits) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)); }
inline Vec load(const uint16_t* values) {
  return {widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(values)))};
}
inline Vec load_part(const uint16_t* values, int64_t num, float fill) {
  const __m512 lanes = widen(_mm256_maskz_loadu_epi16(first_lanes(num), values));
  return {_mm512_mask_mov_ps(_mm512_set1_ps(fill), first_lanes(num), lanes)};
}

inline __m512 widen(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)); }
inline Vec load(const int8_t* values) { return {widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values)))}; }
inline Vec load_part(const int8_t* values, int64_t num, float fill) {
  const __m512 lanes = widen(_mm_maskz_loadu_epi8(first_lanes(num), values));
  return {_mm512_mask_mov_ps(_mm512_set1_ps(fill), first_lanes(num), lanes)};
}

inline __m256i round_to_bfloat16(__m512 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i last = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(last, _mm512_set1_epi32(0x7fff)));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m512i kept = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
}
inline void store(uint16_t* values, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), round_to_bfloat16(v.v));
}
inline void store_part(uint16_t* values, int64_t num, Vec v) {
  _mm256_mask_storeu_epi16(values, first_lanes(num), round_to_bfloat16(v.v));
}

inline void load_pairs(const uint16_t* values, Vec& first, Vec& second) {
  const __m512i pairs = _mm512_loadu_si512(values);
  first = {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16))};
  second = {_mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))))};
}

inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec absolute(Vec a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }
inline Vec exponent_from_bits(Vec v, int32_t offset) {
  const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(v.v), _mm512_set1_epi32(offset));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 23))};
}

// The halves of a and of b added: a's quads 0 + 2 and 1 + 3, then b's.
inline __m512 fold_halves(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}
inline Vec fold_quads(Vec a, Vec b, Vec c, Vec d) {
  const __m512 x = fold_halves(a.v, b.v), y = fold_halves(c.v, d.v);
  return {_mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd))};
}
inline __m512 add_neighbours(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}
inline Vec add_quads(Vec a, Vec b, Vec c, Vec d) {
  return {add_neighbours(add_neighbours(a.v, b.v), add_neighbours(c.v, d.v))};
}

inline Ints zero_ints() { return Ints(); }

inline __m512i four_bytes(const int8_t* x) {
  int32_t bits;
  __builtin_memcpy(&bits, x, 4);
  return _mm512_set1_epi32(bits);
}

#ifdef __AVX512VNNI__
constexpr int kMaxRowsInt8 = 8, kMaxSumsInt8 = 24;
constexpr int32_t kByteOffset = 128;  // the instruction wants one side without sign

struct Bytes {
  __m512i x;
};

inline Bytes broadcast_bytes(const int8_t* x) { return {_mm512_xor_si512(four_bytes(x), _mm512_set1_epi8(-128))}; }
inline void dot(Ints& sums, const int8_t* weights, Bytes x) {
  const __m512i total = _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums.v), x.x, _mm512_loadu_si512(weights));
  sums.v = reinterpret_cast<decltype(sums.v)>(total);
}
#else
constexpr int kMaxRowsInt8 = 8, kMaxSumsInt8 = 16;
constexpr int32_t kByteOffset = 0;

struct Bytes {
  __m512i magnitude;
  __mmask64 is_negative;
};

inline Bytes broadcast_bytes(const int8_t* x) {
  const __m512i bytes = four_bytes(x);
  return {_mm512_abs_epi8(bytes), _mm512_movepi8_mask(bytes)};
}
// vpmaddubsw multiplies unsigned by signed and saturates; |x| times the weight with x's sign cannot: two products of
// 127 * 127 are 32258.
inline void dot(Ints& sums, const int8_t* weights, Bytes x) {
  const __m512i bytes = _mm512_loadu_si512(weights);
  const __m512i with_sign = _mm512_mask_sub_epi8(bytes, x.is_negative, _mm512_setzero_si512(), bytes);
  const __m512i pairs = _mm512_maddubs_epi16(x.magnitude, with_sign);
  sums.v += reinterpret_cast<decltype(sums.v)>(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif

inline Vec to_floats(Ints sums, const int32_t* row_sums) {
  __m512i total = reinterpret_cast<__m512i>(sums.v);
  if constexpr (kByteOffset != 0) {
    const __m512i offset = _mm512_mullo_epi32(_mm512_loadu_si512(row_sums), _mm512_set1_epi32(kByteOffset));
    total = _mm512_sub_epi32(total, offset);
  }
  return {_mm512_cvtepi32_ps(total)};
}

inline void store_bytes(int8_t* bytes, Vec v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v.v)));
}

inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
inline void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace
}  // namespace amt::engine
