// Rows of a head between the tensors and scratch memory, where they are (rows, padded_dim), zeros where padded.
#pragma once

#include "lanes.h"

namespace amt::training {
namespace {

inline int64_t begin_of(const View& view, int64_t batch, int64_t head) {
  return batch * view.batch_stride + head * view.head_stride;
}

inline void copy_row(const float* from, int64_t size, float* to) { __builtin_memcpy(to, from, size * sizeof(float)); }
inline void copy_row(const uint16_t* from, int64_t size, uint16_t* to) {
  __builtin_memcpy(to, from, size * sizeof(uint16_t));
}
inline void copy_row(const uint16_t* from, int64_t size, float* to) {
  engine::for_lanes(size, [&](int64_t i, int64_t num) { store(to + i, engine::load_some(from + i, num)); });
}

template <class From, class To>
inline void read_rows(const From* from, int64_t stride, int64_t num_rows, int64_t size, int64_t total_rows,
                      int64_t padded_size, To* to) {
  constexpr int64_t kRowsAhead = 12;  // rows of a head lie too far apart for the processor to guess the next
  for (int64_t row = 0; row < num_rows; ++row, from += stride, to += padded_size) {
    for (int64_t i = 0; i < size; i += 64 / sizeof(From)) {
      engine::prefetch(reinterpret_cast<const char*>(from) + (kRowsAhead * stride + i) * sizeof(From));
    }
    copy_row(from, size, to);
    for (int64_t i = size; i < padded_size; ++i) to[i] = To{};
  }
  for (int64_t i = 0; i < (total_rows - num_rows) * padded_size; ++i) to[i] = To{};
}

// Rotary positions of the rows of one head; none without tables.
struct Rotary {
  const float* cosine;
  const float* signed_sine;
  int64_t size;

  Rotary(const AttentionCall& call, int64_t batch)
      : cosine(call.cosine), signed_sine(call.signed_sine), size(call.head_dim) {
    if (cosine == nullptr) return;
    cosine += batch * call.rotary_batch_stride;
    signed_sine += batch * call.rotary_batch_stride;
  }

  // Turns num_rows rows, `stride` apart, of positions first_row and on; or turns them back.
  template <bool kBack, class Number>
  void turn(Number* rows, int64_t stride, int64_t first_row, int64_t num_rows) const {
    if (cosine == nullptr) return;
    const int64_t half = size / 2;
    for (int64_t row = 0; row < num_rows; ++row, rows += stride) {
      const float *cosines = cosine + (first_row + row) * size, *sines = signed_sine + (first_row + row) * size;
      const float *sines_of_low = kBack ? sines + half : sines, *sines_of_high = kBack ? sines : sines + half;
      engine::for_lanes(half, [&](int64_t i, int64_t num) {
        const Vec low = engine::load_some(rows + i, num), high = engine::load_some(rows + half + i, num);
        const Vec new_low = low * engine::load_some(cosines + i, num) + high * engine::load_some(sines_of_low + i, num);
        engine::store_some(
            rows + half + i, num,
            high * engine::load_some(cosines + half + i, num) + low * engine::load_some(sines_of_high + i, num));
        engine::store_some(rows + i, num, new_low);
      });
    }
  }
};

// What a row of a query or key is multiplied by to have its norm.
template <class Number>
inline float norm_factor(const AttentionCall& call, const Number* row) {
  Vec squares = zero();
  engine::for_lanes(call.head_dim, [&](int64_t i, int64_t num) {
    const Vec values = engine::load_some(row + i, num);
    squares = multiply_add(values, values, squares);
  });
  const float mean = engine::add_lanes(squares) / static_cast<float>(call.head_dim);
  return call.norm_scale / __builtin_sqrtf(mean + call.norm_epsilon);
}

// The gradients of normed rows become those of the rows, which lie `stride` apart: with x a row, f its factor and g its
// gradient, f * g - x * (x . g) * f ** 3 / (norm_scale ** 2 * head_dim).
template <class Number>
inline void norm_gradients(const AttentionCall& call, const Number* rows, int64_t stride, int64_t num_rows,
                           float* grads, int64_t grad_stride) {
  const float share = 1.0f / (call.norm_scale * call.norm_scale * static_cast<float>(call.head_dim));
  for (int64_t row = 0; row < num_rows; ++row, rows += stride, grads += grad_stride) {
    Vec products = zero();
    engine::for_lanes(call.head_dim, [&](int64_t i, int64_t num) {
      products = multiply_add(engine::load_some(rows + i, num), engine::load_some(grads + i, num), products);
    });
    const float factor = norm_factor(call, rows);
    const Vec of_grad = set1(factor), of_row = set1(-engine::add_lanes(products) * factor * factor * factor * share);
    engine::for_lanes(call.head_dim, [&](int64_t i, int64_t num) {
      const Vec part = engine::load_some(rows + i, num) * of_row;
      engine::store_some(grads + i, num, multiply_add(engine::load_some(grads + i, num), of_grad, part));
    });
  }
}

// What is done to the queries and keys of one head where they are read, and backwards to their gradients: the norm,
// then rotary positions.
struct Preparation {
  const AttentionCall& call;
  int64_t batch, head;
  Rotary rotary;

  Preparation(const AttentionCall& call, int64_t batch, int64_t head)
      : call(call), batch(batch), head(head), rotary(call, batch) {}

  template <class Number>
  void prepare(Number* rows, int64_t stride, int64_t first_row, int64_t num_rows) const {
    if (call.norm_scale > 0.0f) {
      for (int64_t row = 0; row < num_rows; ++row) {
        Number* place = rows + row * stride;
        const Vec factor = set1(norm_factor(call, place));
        engine::for_lanes(call.head_dim, [&](int64_t i, int64_t num) {
          engine::store_some(place + i, num, engine::load_some(place + i, num) * factor);
        });
      }
    }
    rotary.turn<false>(rows, stride, first_row, num_rows);
  }

  // view: of the queries or keys whose gradients these are.
  void undo(float* grads, int64_t stride, const View& view, int64_t first_row, int64_t num_rows) const {
    rotary.turn<true>(grads, stride, first_row, num_rows);
    if (call.norm_scale <= 0.0f) return;
    const int64_t begin = begin_of(view, batch, head) + first_row * view.row_stride;
    if (call.dtype == Dtype::kBfloat16) {
      norm_gradients(call, static_cast<const uint16_t*>(view.data) + begin, view.row_stride, num_rows, grads, stride);
    } else {
      norm_gradients(call, static_cast<const float*>(view.data) + begin, view.row_stride, num_rows, grads, stride);
    }
  }
};

// Reads rows first_row .. first_row + num_rows - 1 of a head; rows from there up to total_rows become zeros. From
// bfloat16 to either type, from float32 to itself.
template <class Number>
inline void read_rows(const AttentionCall& call, const View& view, int64_t batch, int64_t head, int64_t first_row,
                      int64_t num_rows, int64_t total_rows, int64_t padded_size, Number* to) {
  const int64_t begin = begin_of(view, batch, head) + first_row * view.row_stride;
  num_rows = num_rows > 0 ? num_rows : 0;
  if (call.dtype == Dtype::kBfloat16) {
    read_rows(static_cast<const uint16_t*>(view.data) + begin, view.row_stride, num_rows, call.head_dim, total_rows,
              padded_size, to);
  } else if constexpr (sizeof(Number) == sizeof(float)) {
    read_rows(static_cast<const float*>(view.data) + begin, view.row_stride, num_rows, call.head_dim, total_rows,
              padded_size, to);
  }
}

template <class To>
inline void write_rows(const float* from, int64_t from_stride, int64_t num_rows, int64_t size, float factor, To* to,
                       int64_t stride) {
  for (int64_t row = 0; row < num_rows; ++row, from += from_stride, to += stride) {
    engine::for_lanes(size, [&](int64_t i, int64_t num) {
      engine::store_some(to + i, num, engine::load_some(from + i, num) * set1(factor));
    });
  }
}

// Writes num_rows rows of a head, multiplied by `factor`.
inline void write_rows(const AttentionCall& call, const float* from, int64_t from_stride, int64_t num_rows,
                       float factor, const View& view, int64_t batch, int64_t head, int64_t first_row) {
  const int64_t begin = begin_of(view, batch, head) + first_row * view.row_stride;
  if (call.dtype == Dtype::kBfloat16) {
    write_rows(from, from_stride, num_rows, call.head_dim, factor, static_cast<uint16_t*>(view.data) + begin,
               view.row_stride);
  } else {
    write_rows(from, from_stride, num_rows, call.head_dim, factor, static_cast<float*>(view.data) + begin,
               view.row_stride);
  }
}

}  // namespace
}  // namespace amt::training
