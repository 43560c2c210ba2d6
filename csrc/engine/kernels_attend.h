// Attention of a sequence's rows with one head. Three passes: scores, softmax, weighted sum of the values. Positions go
// in groups of 16, rows inside a group: what the rows share is then read from memory once and from a copy in the first
// cache for the rows after. (Without the copy it would leave that cache again: positions often lie a power of two
// apart, where few fit together.) A row's arithmetic does not know of the other rows, nor of trunk_len.
#pragma once

#include "kernels.h"

namespace amt::engine {
namespace {

constexpr int64_t kMostCopied = 128;  // largest head_dim of which a group is copied

// The products of a query with 16 keys. Each is the sum of 16 lanes over head_dim, then of the lanes in a fixed order.
template <class Element>
inline Vec dot_products(const float* query, const Element* const (&keys)[16], int64_t head_dim) {
  Vec quads[4];
  unrolled<4>([&](auto j) {  // keys j, 4 + j, 8 + j, 12 + j: the order in which add_quads gives them back
    Vec sums[4] = {zero(), zero(), zero(), zero()};
    int64_t i = 0;
    for (; i + kLanes <= head_dim; i += kLanes) {
      const Vec q = load(query + i);
      unrolled<4>([&](auto n) { sums[n] = multiply_add(q, load(keys[4 * n + j] + i), sums[n]); });
    }
    if (i < head_dim) {
      const Vec q = load_part(query + i, head_dim - i, 0.0f);
      unrolled<4>(
          [&](auto n) { sums[n] = multiply_add(q, load_part(keys[4 * n + j] + i, head_dim - i, 0.0f), sums[n]); });
    }
    quads[j] = fold_quads(sums[0], sums[1], sums[2], sums[3]);
  });
  return add_quads(quads[0], quads[1], quads[2], quads[3]);
}

// Adds the weighted values of `num` positions to kChunks times 16 numbers of the output.
template <int kChunks, class Element>
inline void add_values(const float* weights, const Element* const (&values)[16], int64_t num, int64_t offset,
                       float* out) {
  Vec sums[kChunks];
  unrolled<kChunks>([&](auto c) { sums[c] = zero(); });
  for (int64_t i = 0; i < num; ++i) {
    const Vec weight = set1(weights[i]);
    unrolled<kChunks>([&](auto c) { sums[c] = multiply_add(weight, load(values[i] + offset + c * kLanes), sums[c]); });
  }
  unrolled<kChunks>([&](auto c) {
    float* to = out + offset + c * kLanes;
    store(to, load(to) + sums[c]);
  });
}

template <class Element>
inline void add_all_values(const float* weights, const Element* const (&values)[16], int64_t num, int64_t head_dim,
                           float* out) {
  int64_t offset = 0;
  for (; offset + 4 * kLanes <= head_dim; offset += 4 * kLanes) add_values<4>(weights, values, num, offset, out);
  for (; offset + kLanes <= head_dim; offset += kLanes) add_values<1>(weights, values, num, offset, out);
  if (offset == head_dim) return;
  const int64_t width = head_dim - offset;
  Vec sum = zero();
  for (int64_t i = 0; i < num; ++i) {
    sum = multiply_add(set1(weights[i]), load_part(values[i] + offset, width, 0.0f), sum);
  }
  store_part(out + offset, width, load_part(out + offset, width, 0.0f) + sum);
}

template <class Element>
struct Attention {
  static constexpr bool kHasScales = sizeof(Element) == 1;

  const AttentionCall& call;
  const int64_t padded_length = (call.length + kLanes - 1) / kLanes * kLanes;

  float* scores(int64_t row) const { return call.scores + row * padded_length; }

  // Where 16 positions of a row lie in `cache`, and what the numbers there are to be multiplied by. Behind the length
  // it is the last position again. What is read next, from the same places in `ahead` (may be nullptr), is called into
  // the second cache meanwhile.
  void find(const void* cache, const void* ahead, int64_t row, int64_t first, const Element* (&vectors)[16],
            float (&scales)[16]) const {
    const int64_t way = static_cast<const char*>(ahead) - static_cast<const char*>(cache);
    if (call.ancestry == nullptr) {  // one behind the other
      const int64_t last = smaller(kLanes, call.length - first) - 1;
      const Element* begin = static_cast<const Element*>(cache) + first * call.position_stride;
      for (int64_t i = 0; i < kLanes; ++i) vectors[i] = begin + smaller(i, last) * call.position_stride;
      if (ahead != nullptr) {
        const auto* from = reinterpret_cast<const char*>(begin) + way;
        const int64_t size = (last + 1) * call.position_stride * static_cast<int64_t>(sizeof(Element));
        for (int64_t byte = 0; byte < size; byte += 64) prefetch_far(from + byte);
      }
      if constexpr (kHasScales) {
        for (int64_t i = 0; i < kLanes; ++i) {
          __builtin_memcpy(scales + i, vectors[i] + vector_stride(NumberType::kInt8, call.head_dim) - 4, 4);
        }
      }
      return;
    }
    for (int64_t i = 0; i < kLanes; ++i) {
      const int64_t position = smaller(first + i, call.length - 1);
      const int64_t owner = position < call.trunk_len ? 0 : row;
      const int64_t slot = call.ancestry == nullptr ? 0 : call.ancestry[owner * call.ancestry_stride + position];
      vectors[i] = static_cast<const Element*>(cache) + position * call.position_stride + slot * call.slot_stride;
      if (ahead != nullptr) {
        for (int64_t byte = 0; byte < call.head_dim * static_cast<int64_t>(sizeof(Element)); byte += 64) {
          prefetch_far(reinterpret_cast<const char*>(vectors[i]) + way + byte);
        }
      }
      if constexpr (kHasScales) {
        __builtin_memcpy(scales + i, vectors[i] + vector_stride(NumberType::kInt8, call.head_dim) - 4, 4);
      }
    }
  }

  // Calls operation(row, vectors, scales) for each row, with its 16 vectors as they lie in the cache or copied as
  // float32.
  template <class Operation>
  void for_rows(const void* cache, const void* ahead, int64_t first, Operation operation) const {
    const Element* vectors[16];
    alignas(64) float scales[16];
    // The vectors are the same for all rows if the group ends before the trunk does, or if there is but one slot.
    const bool is_shared = call.ancestry == nullptr || first + kLanes <= call.trunk_len;
    if (!is_shared || call.num_rows == 1 || call.head_dim > kMostCopied) {
      for (int64_t row = 0; row < call.num_rows; ++row) {
        find(cache, ahead, row, first, vectors, scales);
        operation(row, vectors, scales);
      }
      return;
    }
    find(cache, ahead, 0, first, vectors, scales);
    alignas(64) float copies[16][kMostCopied];
    const float* copied[16];
    for (int64_t i = 0; i < kLanes; ++i) {
      copied[i] = copies[i];
      for_lanes(call.head_dim, [&](int64_t c, int64_t num) { store(copies[i] + c, load_some(vectors[i] + c, num)); });
    }
    for (int64_t row = 0; row < call.num_rows; ++row) operation(row, copied, scales);
  }

  void score_group(int64_t first) const {
    const int64_t num = smaller(kLanes, call.length - first);
    const Vec bias = call.bias == nullptr ? zero() : load_some(call.bias + first, num);
    for_rows(call.keys, call.values, first, [&](int64_t row, const auto& keys, const float* scales) {
      float* to = scores(row) + first;
      Vec products = dot_products(call.query + row * call.query_stride, keys, call.head_dim);
      if constexpr (kHasScales) products = products * load(scales);
      store(to, multiply_add(products, set1(call.scale), bias));
      for (int64_t i = num; i < kLanes; ++i) to[i] = -__builtin_inff();
      if (call.mask == nullptr) return;
      for (int64_t i = 0; i < num; ++i) to[i] = call.mask[first + i] == 0 ? -__builtin_inff() : to[i];
    });
  }

  // Scores become weights that add up to 1, or all are 0 if the row may attend to nothing.
  void softmax(int64_t row) const {
    float* to = scores(row);
    Vec lanes = load(to);
    for (int64_t i = kLanes; i < padded_length; i += kLanes) lanes = max(lanes, load(to + i));
    const float largest = largest_lane(lanes);
    const bool is_empty = largest == -__builtin_inff();
    Vec sum = zero();
    for (int64_t i = 0; i < padded_length; i += kLanes) {
      const Vec weights = is_empty ? zero() : exponential(load(to + i) - set1(largest));
      store(to + i, weights);
      sum = sum + weights;
    }
    const Vec inverse = set1(is_empty ? 0.0f : 1.0f / add_lanes(sum));
    for (int64_t i = 0; i < padded_length; i += kLanes) store(to + i, load(to + i) * inverse);
  }

  void value_group(int64_t first) const {
    const int64_t num = smaller(kLanes, call.length - first);
    for_rows(call.values, call.next_keys, first, [&](int64_t row, const auto& values, const float* scales) {
      float* weights = scores(row) + first;
      if constexpr (kHasScales) store(weights, load(weights) * load(scales));
      add_all_values(weights, values, num, call.head_dim, call.out + row * call.out_stride);
    });
  }

  void run() const {
    for (int64_t first = 0; first < call.length; first += kLanes) score_group(first);
    for (int64_t row = 0; row < call.num_rows; ++row) {
      float* out = call.out + row * call.out_stride;
      for_lanes(call.head_dim, [&](int64_t i, int64_t num) { store_some(out + i, num, zero()); });
      if (call.length > 0) softmax(row);
    }
    for (int64_t first = 0; first < call.length; first += kLanes) value_group(first);
  }
};

void attend(const AttentionCall& call) {
  if (call.cache_type == NumberType::kBfloat16) {
    Attention<uint16_t>{call}.run();
  } else if (call.cache_type == NumberType::kInt8) {
    Attention<int8_t>{call}.run();
  } else {
    Attention<float>{call}.run();
  }
}

}  // namespace
}  // namespace amt::engine
