// Kernels over one row at a time: norms, activations, rotary positions, writing to the cache, log-sum-exp.
#pragma once

#include <cstddef>

#include "kernels.h"

namespace amt::engine {
namespace {

void layer_norm(const float* x, int64_t stride, int64_t num_features, int64_t first_row, int64_t last_row,
                const float* weight, const float* bias, float epsilon, float* out, int64_t out_stride) {
  const float size = static_cast<float>(num_features);
  for (int64_t row = first_row; row < last_row; ++row) {
    const float* from = x + row * stride;
    float* to = out + row * out_stride;
    Vec sum = zero();
    for_lanes(num_features, [&](int64_t i, int64_t num) { sum = sum + load_some(from + i, num); });
    const float mean = add_lanes(sum) / size;
    Vec squares = zero();
    for_lanes(num_features, [&](int64_t i, int64_t num) {
      const Vec centred = load_some(from + i, num, mean) - set1(mean);  // lanes behind the row count 0
      squares = multiply_add(centred, centred, squares);
    });
    const Vec inverse = set1(1.0f / __builtin_sqrtf(add_lanes(squares) / size + epsilon));
    for_lanes(num_features, [&](int64_t i, int64_t num) {
      const Vec normal = (load_some(from + i, num, mean) - set1(mean)) * inverse;
      store(to + i, multiply_add(normal, load_some(weight + i, num), load_some(bias + i, num)));
    });
  }
}

void relu(float* x, int64_t num_features) {
  for_lanes(num_features, [&](int64_t i, int64_t num) { store_some(x + i, num, max(zero(), load_some(x + i, num))); });
}

// x P(X < x) = max(x, 0) - |x| P(X > |x|): nothing cancels in the tails.
void gelu(float* x, int64_t num_features) {
  for_lanes(num_features, [&](int64_t i, int64_t num) {
    const Vec v = load_some(x + i, num);
    store_some(x + i, num, max(zero(), v) - absolute(v) * normal_tail(v));
  });
}

void swiglu(const float* gate, const float* x, int64_t num_features, float* out) {
  for_lanes(num_features, [&](int64_t i, int64_t num) {
    const Vec g = load_some(gate + i, num);
    const Vec silu = g / (set1(1.0f) + exponential(zero() - g));
    store_some(out + i, num, silu * load_some(x + i, num));
  });
}

void rotate(float* x, int64_t num_heads, int64_t head_dim, const float* cosine, const float* signed_sine) {
  const int64_t half = head_dim / 2;
  for (int64_t head = 0; head < num_heads; ++head, x += head_dim) {
    for_lanes(half, [&](int64_t i, int64_t num) {
      const int64_t j = i + half;
      const Vec a = load_some(x + i, num), b = load_some(x + j, num);
      const Vec new_a = multiply_add(b, load_some(signed_sine + i, num), a * load_some(cosine + i, num));
      const Vec new_b = multiply_add(a, load_some(signed_sine + j, num), b * load_some(cosine + j, num));
      store_some(x + i, num, new_a);
      store_some(x + j, num, new_b);
    });
  }
}

void rms_norm(float* x, int64_t num_vectors, int64_t size, float epsilon, float scale) {
  for (int64_t vector = 0; vector < num_vectors; ++vector, x += size) {
    Vec squares = zero();
    for_lanes(size, [&](int64_t i, int64_t num) {
      const Vec values = load_some(x + i, num);
      squares = multiply_add(values, values, squares);
    });
    const Vec factor = set1(scale / __builtin_sqrtf(add_lanes(squares) / static_cast<float>(size) + epsilon));
    for_lanes(size, [&](int64_t i, int64_t num) { store_some(x + i, num, load_some(x + i, num) * factor); });
  }
}

void add_rows(const float* table, int64_t stride, const WeightedRow* rows, int64_t num_rows, float* x) {
  constexpr int64_t kWide = 64;  // so many sums stay in registers
  int64_t first = 0;
  for (; first + kWide <= stride; first += kWide) {
    Vec sums[4] = {load(x + first), load(x + first + 16), load(x + first + 32), load(x + first + 48)};
    for (int64_t index = 0; index < num_rows; ++index) {
      const float* row = table + rows[index].row * stride + first;
      const Vec weight = set1(rows[index].weight);
      for (int64_t part = 0; part < 4; ++part) sums[part] = multiply_add(weight, load(row + 16 * part), sums[part]);
    }
    for (int64_t part = 0; part < 4; ++part) store(x + first + 16 * part, sums[part]);
  }
  for (; first < stride; first += 16) {
    Vec sum = load(x + first);
    for (int64_t index = 0; index < num_rows; ++index) {
      sum = multiply_add(set1(rows[index].weight), load(table + rows[index].row * stride + first), sum);
    }
    store(x + first, sum);
  }
}

void store_to_cache(const float* values, int64_t num_vectors, int64_t head_dim, NumberType type, void* cache) {
  const int64_t num = num_vectors * head_dim;
  if (type == NumberType::kFloat32) {
    __builtin_memcpy(cache, values, static_cast<std::size_t>(num) * sizeof(float));
  } else if (type == NumberType::kBfloat16) {
    uint16_t* to = static_cast<uint16_t*>(cache);
    for_lanes(num, [&](int64_t i, int64_t count) { store_some(to + i, count, load_some(values + i, count)); });
  } else {
    const int64_t stride = vector_stride(type, head_dim);
    int8_t* to = static_cast<int8_t*>(cache);
    for (int64_t vector = 0; vector < num_vectors; ++vector, values += head_dim, to += stride) {
      const float scale = quantize(values, head_dim, [&](int64_t i, int64_t count, const int8_t* bytes) {
        __builtin_memcpy(to + i, bytes, static_cast<std::size_t>(count));
      });
      for (int64_t i = head_dim; i < stride - 4; ++i) to[i] = 0;
      __builtin_memcpy(to + stride - 4, &scale, 4);
    }
  }
}

float log_sum_exp(const float* x, int64_t num) {
  constexpr float kInfinity = __builtin_inff();
  Vec lanes = set1(-kInfinity);
  for_lanes(num, [&](int64_t i, int64_t count) { lanes = max(lanes, load_some(x + i, count, -kInfinity)); });
  const float largest = largest_lane(lanes);
  if (largest == -kInfinity || largest == kInfinity) return largest;
  Vec sum = zero();
  for_lanes(num, [&](int64_t i, int64_t count) {
    sum = sum + exponential(load_some(x + i, count, -kInfinity) - set1(largest));
  });
  return largest + __builtin_logf(add_lanes(sum));
}

}  // namespace
}  // namespace amt::engine
