// Parts of vectors, for the instruction sets without masked loads: through 16 numbers on the stack. Included by
// simd_*.h behind Vec, load and store.
#pragma once

namespace amt::engine {
namespace {

// The first `num` lanes come from memory, the others are `fill`.
inline Vec load_part(const float* values, int64_t num, float fill) {
  alignas(64) float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = i < num ? values[i] : fill;
  return load(lanes);
}

inline Vec load_part(const uint16_t* values, int64_t num, float fill) {
  alignas(64) uint16_t bits[16];
  for (int i = 0; i < 16; ++i) bits[i] = i < num ? values[i] : 0;
  if (fill == 0.0f) return load(bits);
  alignas(64) float lanes[16];
  store(lanes, load(bits));
  return load_part(lanes, num, fill);
}

inline Vec load_part(const int8_t* values, int64_t num, float fill) {
  alignas(64) float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = i < num ? static_cast<float>(values[i]) : fill;
  return load(lanes);
}

inline void store_part(float* values, int64_t num, Vec v) {
  alignas(64) float lanes[16];
  store(lanes, v);
  for (int i = 0; i < num; ++i) values[i] = lanes[i];
}

inline void store_part(uint16_t* values, int64_t num, Vec v) {
  alignas(64) uint16_t lanes[16];
  store(lanes, v);
  for (int i = 0; i < num; ++i) values[i] = lanes[i];
}

}  // namespace
}  // namespace amt::engine
