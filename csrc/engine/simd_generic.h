// 16 floats in four vectors of gcc's and clang's own extension: SSE2, VSX or plain code, as the compiler can. This file
// is also the list of what every simd_*.h offers. All names are in an unnamed namespace, so that no function compiled
// for one instruction set can replace another's when the program is linked.
#pragma once

#include <cstdint>

namespace amt::engine {
namespace {

using Float4 = float __attribute__((vector_size(16)));
using Int4 = int32_t __attribute__((vector_size(16)));
using Short8 = int16_t __attribute__((vector_size(16)));

struct Vec {
  Float4 part[4];
};

struct Ints {  // 16 sums of products of 8-bit numbers
  Int4 part[4];
};

struct Bytes {  // four numbers of 8 bits, repeated: the first and third, the second and fourth
  Short8 even, odd;
};

// How many rows one tile may have, and how many rows times panels of sums fit the registers.
constexpr int kMaxRows = 3, kMaxSums = 3;
constexpr int kMaxRowsInt8 = 2, kMaxSumsInt8 = 2;
// What `dot` multiplies is x + kByteOffset.
constexpr int32_t kByteOffset = 0;

template <class T>
inline T read_as(const void* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
inline T bits_as(Float4 v) {
  return read_as<T>(&v);
}

inline Vec set1(float x) {
  const Float4 four = {x, x, x, x};
  return {{four, four, four, four}};
}
inline Vec zero() { return set1(0.0f); }

inline Vec load(const float* values) {
  Vec v;
  for (int i = 0; i < 4; ++i) v.part[i] = read_as<Float4>(values + 4 * i);
  return v;
}
inline void store(float* values, Vec v) { __builtin_memcpy(values, &v, sizeof(v)); }

inline Vec load(const int8_t* values) {
  Vec v;
  for (int i = 0; i < 4; ++i) {
    const Int4 numbers = {values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]};
    v.part[i] = __builtin_convertvector(numbers, Float4);
  }
  return v;
}

// bfloat16: the upper half of a float32; to nearest even, NaN stays NaN.
inline Vec load(const uint16_t* values) {
  Vec v;
  for (int i = 0; i < 4; ++i) {
    const Int4 bits = {values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]};
    const Int4 wide = bits << 16;
    v.part[i] = read_as<Float4>(&wide);
  }
  return v;
}
inline void store(uint16_t* values, Vec v) {
  float lanes[16];
  store(lanes, v);
  for (int i = 0; i < 16; ++i) {
    const uint32_t bits = read_as<uint32_t>(lanes + i);
    const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
    values[i] = static_cast<uint16_t>((is_nan ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

// 16 pairs of bfloat16: the first of each pair, the second of each pair.
inline void load_pairs(const uint16_t* values, Vec& first, Vec& second) {
  for (int i = 0; i < 4; ++i) {
    const Int4 pairs = read_as<Int4>(values + 8 * i);
    const Int4 low = pairs << 16, high = pairs & static_cast<int32_t>(0xffff0000);
    first.part[i] = read_as<Float4>(&low);
    second.part[i] = read_as<Float4>(&high);
  }
}

inline Vec operator+(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.part[i] += b.part[i];
  return a;
}
inline Vec operator-(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.part[i] -= b.part[i];
  return a;
}
inline Vec operator*(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.part[i] *= b.part[i];
  return a;
}
inline Vec operator/(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.part[i] /= b.part[i];
  return a;
}
// a * b + c, rounded once where the processor can (not here).
inline Vec multiply_add(Vec a, Vec b, Vec c) { return a * b + c; }

inline Float4 choose(Int4 mask, Float4 yes, Float4 no) {
  const Int4 bits = (bits_as<Int4>(yes) & mask) | (bits_as<Int4>(no) & ~mask);
  return read_as<Float4>(&bits);
}
// If one is NaN: b.
inline Vec max(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.part[i] = choose(a.part[i] > b.part[i], a.part[i], b.part[i]);
  return a;
}
inline Vec min(Vec a, Vec b) {
  for (int i = 0; i < 4; ++i) a.part[i] = choose(a.part[i] < b.part[i], a.part[i], b.part[i]);
  return a;
}
inline Vec absolute(Vec a) {
  for (int i = 0; i < 4; ++i) {
    const Int4 bits = bits_as<Int4>(a.part[i]) & 0x7fffffff;
    a.part[i] = read_as<Float4>(&bits);
  }
  return a;
}
// The float whose bits are (bits of v + offset) << 23: with the right v a power of two.
inline Vec exponent_from_bits(Vec v, int32_t offset) {
  for (int i = 0; i < 4; ++i) {
    // Unsigned, as bits fall out at the left.
    using Unsigned4 = uint32_t __attribute__((vector_size(16)));
    const Unsigned4 bits = (bits_as<Unsigned4>(v.part[i]) + static_cast<uint32_t>(offset)) << 23;
    v.part[i] = read_as<Float4>(&bits);
  }
  return v;
}

// For each of four vectors, the sums of its lanes i, i + 4, i + 8, i + 12, in the order (0 + 8) + (4 + 12): lanes 0..3
// of the result are a's, 4..7 b's and so on.
inline Vec fold_quads(Vec a, Vec b, Vec c, Vec d) {
  const auto fold = [](const Vec& v) { return (v.part[0] + v.part[2]) + (v.part[1] + v.part[3]); };
  return {{fold(a), fold(b), fold(c), fold(d)}};
}
// The sums (0 + 1) + (2 + 3) of each quad: lane 4 i + j is that of quad i of vector j.
inline Vec add_quads(Vec a, Vec b, Vec c, Vec d) {
  const auto add = [](Float4 v) { return (v[0] + v[1]) + (v[2] + v[3]); };
  Vec sums;
  for (int i = 0; i < 4; ++i) sums.part[i] = Float4{add(a.part[i]), add(b.part[i]), add(c.part[i]), add(d.part[i])};
  return sums;
}

inline Ints zero_ints() { return {}; }

inline Bytes broadcast_bytes(const int8_t* x) {
  const int16_t a = x[0], b = x[1], c = x[2], d = x[3];
  return {Short8{a, c, a, c, a, c, a, c}, Short8{b, d, b, d, b, d, b, d}};
}

// Adds to each of 16 sums the products of four weights with the four numbers of x. Two products of -127..127 fit 16
// bits.
inline void dot(Ints& sums, const int8_t* weights, Bytes x) {
  for (int i = 0; i < 4; ++i) {
    const Short8 pairs = read_as<Short8>(weights + 16 * i);
    const Short8 products = ((pairs << 8) >> 8) * x.even + (pairs >> 8) * x.odd;
    const Int4 wide = read_as<Int4>(&products);
    sums.part[i] += ((wide << 16) >> 16) + (wide >> 16);
  }
}

// sums - kByteOffset * row_sums
inline Vec to_floats(Ints sums, const int32_t*) {
  Vec v;
  for (int i = 0; i < 4; ++i) {
    v.part[i] = Float4{static_cast<float>(sums.part[i][0]), static_cast<float>(sums.part[i][1]),
                       static_cast<float>(sums.part[i][2]), static_cast<float>(sums.part[i][3])};
  }
  return v;
}

// Rounded to nearest even; lanes outside -127..127 are unspecified.
inline void store_bytes(int8_t* bytes, Vec v) {
  const Vec magic = set1(12582912.0f);  // 1.5 * 2^23: the last bit is worth 1
  float lanes[16];
  store(lanes, v + magic);
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<int8_t>(read_as<uint32_t>(lanes + i) & 0xff);
}

inline void prefetch(const void*) {}
inline void prefetch_far(const void*) {}

}  // namespace
}  // namespace amt::engine

#include "simd_parts.h"
