// Attention of a sequence's rows with one head. Three passes: scores, softmax, weighted sum of the values. Positions go
// in groups of 16, rows inside a group: what the rows share is then read from memory once and from the first cache for
// the rows after. A row's arithmetic does not know of the other rows, nor of trunk_len.
#pragma once

#include "kernels.h"

namespace amt::engine {
namespace {

template <class Element>
struct Attention {
  const AttentionCall& call;
  const int64_t padded_length = (call.length + kLanes - 1) / kLanes * kLanes;

  float* scores(int64_t row) const { return call.scores + row * padded_length; }

  // Where 16 positions of a row lie in `cache`. Behind the length it is the last position again.
  void find(const void* cache, int64_t row, int64_t first, const Element* (&vectors)[16]) const {
    for (int64_t i = 0; i < kLanes; ++i) {
      const int64_t position = smaller(first + i, call.length - 1);
      const int64_t owner = position < call.trunk_len ? 0 : row;
      const int64_t slot = call.ancestry == nullptr ? 0 : call.ancestry[owner * call.ancestry_stride + position];
      vectors[i] = static_cast<const Element*>(cache) + position * call.position_stride + slot * call.slot_stride;
    }
  }

  // The vectors are the same for all rows if the group ends before the trunk does, or if there is but one slot.
  bool is_shared(int64_t first) const { return call.ancestry == nullptr || first + kLanes <= call.trunk_len; }

  Vec dot_products(const float* query, const Element* const (&keys)[16]) const {
    Vec quads[4];
    for (int j = 0; j < 4; ++j) {  // keys j, 4 + j, 8 + j, 12 + j: the order in which add_quads gives them back
      Vec sums[4] = {zero(), zero(), zero(), zero()};
      for_lanes(call.head_dim, [&](int64_t i, int64_t num) {
        const Vec q = load_some(query + i, num);
        for (int n = 0; n < 4; ++n) sums[n] = multiply_add(q, load_some(keys[4 * n + j] + i, num), sums[n]);
      });
      quads[j] = fold_quads(sums[0], sums[1], sums[2], sums[3]);
    }
    return add_quads(quads[0], quads[1], quads[2], quads[3]);
  }

  void score_group(int64_t first) const {
    const int64_t num = smaller(kLanes, call.length - first);
    const Vec bias = call.bias == nullptr ? zero() : load_some(call.bias + first, num);
    const Element* keys[16];
    for (int64_t row = 0; row < call.num_rows; ++row) {
      if (row == 0 || !is_shared(first)) find(call.keys, row, first, keys);
      float* to = scores(row) + first;
      store(to, multiply_add(dot_products(call.query + row * call.query_stride, keys), set1(call.scale), bias));
      for (int64_t i = num; i < kLanes; ++i) to[i] = -__builtin_inff();
      if (call.mask == nullptr) continue;
      for (int64_t i = 0; i < num; ++i) to[i] = call.mask[first + i] == 0 ? -__builtin_inff() : to[i];
    }
  }

  // Scores become weights exp(score - largest). Returns 1 / their sum, or 0 if the row may attend to nothing.
  float softmax(int64_t row) const {
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
    return is_empty ? 0.0f : 1.0f / add_lanes(sum);
  }

  // Adds the weighted values of `num` positions to kChunks times 16 (or at the end `width`) numbers of the row's
  // output.
  template <int kChunks>
  void add_values(const float* weights, const Element* const (&values)[16], int64_t num, int64_t offset, int64_t width,
                  float* out) const {
    Vec sums[kChunks];
    for (int c = 0; c < kChunks; ++c) sums[c] = zero();
    for (int64_t i = 0; i < num; ++i) {
      const Vec weight = set1(weights[i]);
      for (int c = 0; c < kChunks; ++c) {
        sums[c] = multiply_add(weight, load_some(values[i] + offset + c * kLanes, width), sums[c]);
      }
    }
    for (int c = 0; c < kChunks; ++c) {
      float* to = out + offset + c * kLanes;
      store_some(to, width, load_some(to, width) + sums[c]);
    }
  }

  void value_group(int64_t first) const {
    const int64_t num = smaller(kLanes, call.length - first);
    const Element* values[16];
    for (int64_t row = 0; row < call.num_rows; ++row) {
      if (row == 0 || !is_shared(first)) find(call.values, row, first, values);
      float* out = call.out + row * call.out_stride;
      const float* weights = scores(row) + first;
      int64_t i = 0;
      for (; i + 4 * kLanes <= call.head_dim; i += 4 * kLanes) add_values<4>(weights, values, num, i, kLanes, out);
      for (; i < call.head_dim; i += kLanes) {
        add_values<1>(weights, values, num, i, smaller(kLanes, call.head_dim - i), out);
      }
    }
  }

  void clear_output(int64_t row) const {
    float* out = call.out + row * call.out_stride;
    for_lanes(call.head_dim, [&](int64_t i, int64_t num) { store_some(out + i, num, zero()); });
  }

  void run() const {
    for (int64_t first = 0; first < call.length; first += kLanes) score_group(first);
    for (int64_t row = 0; row < call.num_rows; ++row) {
      clear_output(row);
      if (call.length == 0) continue;
      // The weights are divided here and not the output at the end: the place to keep the factor is their own.
      const float inverse = softmax(row);
      for (int64_t i = 0; i < padded_length; i += kLanes) {
        store(scores(row) + i, load(scores(row) + i) * set1(inverse));
      }
    }
    for (int64_t first = 0; first < call.length; first += kLanes) value_group(first);
  }
};

void attend(const AttentionCall& call) {
  if (call.cache_type == NumberType::kBfloat16) {
    Attention<uint16_t>{call}.run();
  } else {
    Attention<float>{call}.run();
  }
}

}  // namespace
}  // namespace amt::engine
