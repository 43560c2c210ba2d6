// Functions and reductions over the 16 lanes of simd_*.h. Every sum has one order, the same for all instruction sets.
#pragma once

namespace amt::engine {
namespace {

constexpr int64_t kLanes = 16;

constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Calls operation(0) .. operation(kNum - 1) with indices that are constants, for arrays that shall live in registers:
// gcc unrolls a loop too late for that, and every sum would also be stored to the stack.
template <int kValue>
struct Index {
  constexpr operator int() const { return kValue; }
};
template <int kNum, int kFirst = 0, class Operation>
inline void unrolled(Operation operation) {
  if constexpr (kFirst < kNum) {
    operation(Index<kFirst>());
    unrolled<kNum, kFirst + 1>(operation);
  }
}

// exp within 2 ulp; 0 below -87 and so for -inf; inf above 88.7; NaN stays NaN. Range reduction and polynomial of
// Cephes.
inline Vec exponential(Vec x) {
  x = min(set1(89.0f), max(set1(-87.5f), x));
  const Vec magic = set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, which the low bits then hold
  const Vec shifted = multiply_add(x, set1(1.44269504f), magic);
  const Vec n = shifted - magic;
  // n * log(2) in two parts, the first of few bits, so that its product is exact.
  const Vec r = multiply_add(n, set1(2.12194440e-4f), multiply_add(n, set1(-0.693359375f), x));
  Vec y = set1(1.9875691500e-4f);
  y = multiply_add(y, r, set1(1.3981999507e-3f));
  y = multiply_add(y, r, set1(8.3334519073e-3f));
  y = multiply_add(y, r, set1(4.1665795894e-2f));
  y = multiply_add(y, r, set1(1.6666665459e-1f));
  y = multiply_add(y, r, set1(5.0000001201e-1f));
  y = multiply_add(y, r * r, r) + set1(1.0f);
  // 2^(n - 1), as 2^128 is no float; n = -126 gives 0.
  return y * exponent_from_bits(shifted, 126) * set1(2.0f);
}

// P(X > |x|) of a standard normal X, which is erfc(|x| / sqrt(2)) / 2, within 1e-7 of itself for small |x|:
// exp(-x^2 / 2) times a polynomial in t = 1 / (1 + 0.35 |x|), fitted to a relative error of 3e-8 for |x| < 12.
inline Vec normal_tail(Vec x) {
  const Vec t = set1(1.0f) / multiply_add(absolute(x), set1(0.35f), set1(1.0f));
  Vec y = set1(-0.028954442590475082f);
  y = multiply_add(y, t, set1(0.1430194079875946f));
  y = multiply_add(y, t, set1(-0.2536989152431488f));
  y = multiply_add(y, t, set1(0.15681001543998718f));
  y = multiply_add(y, t, set1(-0.02143339440226555f));
  y = multiply_add(y, t, set1(0.10477448254823685f));
  y = multiply_add(y, t, set1(0.120025634765625f));
  y = multiply_add(y, t, set1(0.13983413577079773f));
  y = multiply_add(y, t, set1(0.13962307572364807f));
  return y * t * exponential(set1(-0.5f) * x * x);
}

inline float add_lanes(Vec v) {
  float lanes[16];
  store(lanes, add_quads(fold_quads(v, v, v, v), v, v, v));
  return lanes[0];
}

inline float largest_lane(Vec v) {
  float lanes[16];
  store(lanes, v);
  float largest = lanes[0];
  for (int i = 1; i < 16; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
}

// Calls operation(first, num) for each 16 of `size` features; num < 16 only in the last call.
template <class Operation>
inline void for_lanes(int64_t size, Operation operation) {
  for (int64_t i = 0; i < size; i += kLanes) operation(i, smaller(kLanes, size - i));
}

template <class T>
inline Vec load_some(const T* values, int64_t num, float fill = 0.0f) {
  return num == kLanes ? load(values) : load_part(values, num, fill);
}

template <class T>
inline void store_some(T* values, int64_t num, Vec v) {
  if (num == kLanes) {
    store(values, v);
  } else {
    store_part(values, num, v);
  }
}

}  // namespace
}  // namespace amt::engine
