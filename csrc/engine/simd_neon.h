// 16 floats in four registers of NEON (aarch64). What each function means is said in simd_generic.h.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace amt::engine {
namespace {

struct Vec {
  float32x4_t part[4];
};

struct Ints {
  int32x4_t part[4];
};

constexpr int kMaxRows = 6, kMaxSums = 6;
constexpr int kMaxRowsInt8 = 4, kMaxSumsInt8 = 4;
constexpr int32_t kByteOffset = 0;

template <class Operation>
inline Vec each(Operation operation) {
  return {{operation(0), operation(1), operation(2), operation(3)}};
}

inline Vec set1(float x) {
  return each([=](int) { return vdupq_n_f32(x); });
}
inline Vec zero() { return set1(0.0f); }

inline Vec load(const float* values) {
  return each([=](int i) { return vld1q_f32(values + 4 * i); });
}
inline void store(float* values, Vec v) {
  for (int i = 0; i < 4; ++i) vst1q_f32(values + 4 * i, v.part[i]);
}

inline Vec load(const uint16_t* values) {
  return each([=](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(values + 4 * i), 16)); });
}
inline Vec load(const int8_t* values) {
  const int8x16_t bytes = vld1q_s8(values);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}
inline void store(uint16_t* values, Vec v) {
  for (int i = 0; i < 4; ++i) {
    const uint32x4_t bits = vreinterpretq_u32_f32(v.part[i]);
    const uint32x4_t last = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(last, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    vst1_u16(values + 4 * i, vshrn_n_u32(vbslq_u32(vceqq_f32(v.part[i], v.part[i]), rounded, quiet), 16));
  }
}

inline void load_pairs(const uint16_t* values, Vec& first, Vec& second) {
  for (int i = 0; i < 4; ++i) {
    const uint32x4_t pairs = vreinterpretq_u32_u16(vld1q_u16(values + 8 * i));
    first.part[i] = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
    second.part[i] = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000)));
  }
}

inline Vec operator+(Vec a, Vec b) {
  return each([&](int i) { return vaddq_f32(a.part[i], b.part[i]); });
}
inline Vec operator-(Vec a, Vec b) {
  return each([&](int i) { return vsubq_f32(a.part[i], b.part[i]); });
}
inline Vec operator*(Vec a, Vec b) {
  return each([&](int i) { return vmulq_f32(a.part[i], b.part[i]); });
}
inline Vec operator/(Vec a, Vec b) {
  return each([&](int i) { return vdivq_f32(a.part[i], b.part[i]); });
}
inline Vec multiply_add(Vec a, Vec b, Vec c) {
  return each([&](int i) { return vfmaq_f32(c.part[i], a.part[i], b.part[i]); });
}
inline Vec max(Vec a, Vec b) {
  return each([&](int i) { return vbslq_f32(vcgtq_f32(a.part[i], b.part[i]), a.part[i], b.part[i]); });
}
inline Vec min(Vec a, Vec b) {
  return each([&](int i) { return vbslq_f32(vcltq_f32(a.part[i], b.part[i]), a.part[i], b.part[i]); });
}
inline Vec absolute(Vec a) {
  return each([&](int i) { return vabsq_f32(a.part[i]); });
}
inline Vec exponent_from_bits(Vec v, int32_t offset) {
  return each([&](int i) {
    const int32x4_t bits = vaddq_s32(vreinterpretq_s32_f32(v.part[i]), vdupq_n_s32(offset));
    return vreinterpretq_f32_s32(vshlq_n_s32(bits, 23));
  });
}

inline float32x4_t fold(const Vec& v) {
  return vaddq_f32(vaddq_f32(v.part[0], v.part[2]), vaddq_f32(v.part[1], v.part[3]));
}
inline Vec fold_quads(Vec a, Vec b, Vec c, Vec d) { return {{fold(a), fold(b), fold(c), fold(d)}}; }
inline Vec add_quads(Vec a, Vec b, Vec c, Vec d) {
  return each([&](int i) { return vpaddq_f32(vpaddq_f32(a.part[i], b.part[i]), vpaddq_f32(c.part[i], d.part[i])); });
}

inline Ints zero_ints() {
  const int32x4_t none = vdupq_n_s32(0);
  return {{none, none, none, none}};
}

struct Bytes {
  int8x16_t x;
};

inline Bytes broadcast_bytes(const int8_t* x) {
  int32_t bits;
  __builtin_memcpy(&bits, x, 4);
  return {vreinterpretq_s8_s32(vdupq_n_s32(bits))};
}
inline void dot(Ints& sums, const int8_t* weights, Bytes x) {
  for (int i = 0; i < 4; ++i) {
    const int8x16_t bytes = vld1q_s8(weights + 16 * i);
#ifdef __ARM_FEATURE_DOTPROD
    sums.part[i] = vdotq_s32(sums.part[i], bytes, x.x);
#else
    const int16x8_t low = vmull_s8(vget_low_s8(bytes), vget_low_s8(x.x)), high = vmull_high_s8(bytes, x.x);
    sums.part[i] = vpadalq_s16(sums.part[i], vpaddq_s16(low, high));  // two products fit 16 bits
#endif
  }
}

inline Vec to_floats(Ints sums, const int32_t*) {
  return each([&](int i) { return vcvtq_f32_s32(sums.part[i]); });
}

inline void store_bytes(int8_t* bytes, Vec v) {
  const auto narrow = [&](int i) {
    return vcombine_s16(vmovn_s32(vcvtnq_s32_f32(v.part[i])), vmovn_s32(vcvtnq_s32_f32(v.part[i + 1])));
  };
  vst1q_s8(bytes, vcombine_s8(vmovn_s16(narrow(0)), vmovn_s16(narrow(2))));
}

inline void prefetch(const void* p) { __builtin_prefetch(p); }
inline void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace
}  // namespace amt::engine

#include "simd_parts.h"
