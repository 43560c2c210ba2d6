// What attention needs beside the 16 lanes of ../engine/simd_*.h, one of which is included before. As there, nothing
// here has a name that the linker can see.
#pragma once

#include "training_kernels.h"
#include "vector_math.h"

namespace amt::training {
namespace {

using engine::kLanes;
using engine::load;
using engine::load_part;
using engine::max;
using engine::min;
using engine::multiply_add;
using engine::set1;
using engine::store;
using engine::store_part;
using engine::unrolled;
using engine::Vec;
using engine::zero;

// Rows of a matrix come in multiples of it.
constexpr int kRowMultiple = 16;

// How many rows and vectors of sums of a product stay in registers; rows come in pairs.
#if defined(__AVX512F__)
constexpr int kBlockRows = 8, kBlockVecs = 2;
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int kBlockRows = 6, kBlockVecs = 1;
#else
constexpr int kBlockRows = 2, kBlockVecs = 1;
#endif

constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;
constexpr float kInfinity = __builtin_huge_valf();
// The largest score of a query that has met none. Not -inf: the difference of two of these is a number.
constexpr float kNoScore = -3.0e38f;

inline bool has_positive_lane(Vec v) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(v.v, _mm512_setzero_ps(), _CMP_GT_OQ) != 0;
#else
  return engine::largest_lane(v) > 0.0f;
#endif
}

// 2^x within 2 ulp; 0 for x below -127 (or less) and so for -inf; NaN stays NaN. x is at most 127. The polynomial is
// fitted to a relative error of 1e-7.
inline Vec power_of_two(Vec x) {
#if defined(__AVX512F__)
  const Vec bounded = max(set1(-200.0f), x);
  const Vec n = {_mm512_roundscale_ps(bounded.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
#else
  const Vec bounded = min(set1(127.0f), max(set1(-127.0f), x));
  const Vec magic = set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, which the low bits then hold
  const Vec shifted = bounded + magic;
  const Vec n = shifted - magic;
#endif
  const Vec r = bounded - n;
  Vec y = set1(1.326472713e-3f);
  y = multiply_add(y, r, set1(9.671512645e-3f));
  y = multiply_add(y, r, set1(5.550733743e-2f));
  y = multiply_add(y, r, set1(2.402224209e-1f));
  y = multiply_add(y, r, set1(6.931469776e-1f));
  y = multiply_add(y, r, set1(1.0f));
#if defined(__AVX512F__)
  return {_mm512_scalef_ps(y.v, n.v)};
#else
  return y * engine::exponent_from_bits(shifted, 127);
#endif
}

}  // namespace
}  // namespace amt::training
