// Products of small matrices: c (rows, 16 * num_vecs) = a @ b, or += that. `a` lies row by row. `b` is packed: the
// kStep numbers of one column that are multiplied together lie side by side, [depth / kStep][columns][kStep].
#pragma once

#include "lanes.h"

namespace amt::training {
namespace {

template <class Number>
struct Product {
  const Number* a;
  int64_t a_stride;  // between rows
  const Number* b;
  int64_t b_stride;  // between groups of kStep numbers of the depth
  int64_t rows, num_vecs, depth;
  float* c;
  int64_t c_stride;
  bool accumulate;
};

// kRows x kVecs sums in registers, by the arithmetic's load_packed, repeat and add_product.
template <class Arithmetic, int kRows, int kVecs>
[[gnu::flatten]] void multiply_block(const Product<typename Arithmetic::Number>& product, int64_t row, int64_t vec) {
  using Packed = typename Arithmetic::Packed;
  constexpr int64_t kStep = Arithmetic::kStep;
  const auto* a = product.a + row * product.a_stride;
  const auto* b = product.b + vec * kLanes * kStep;
  const int64_t a_stride = product.a_stride, c_stride = product.c_stride;
  float* c = product.c + row * c_stride + vec * kLanes;
  Vec sums[kRows][kVecs];
  if (product.accumulate) {
    unrolled<kRows>(
        [&](auto r) { unrolled<kVecs>([&](auto v) { sums[r][v] = load(c + r * c_stride + v * kLanes); }); });
  } else {
    unrolled<kRows>([&](auto r) { unrolled<kVecs>([&](auto v) { sums[r][v] = zero(); }); });
  }
  for (int64_t k = 0; k < product.depth; k += kStep, b += product.b_stride) {
    Packed columns[kVecs];
    unrolled<kVecs>([&](auto v) { columns[v] = Arithmetic::load_packed(b + v * kLanes * kStep); });
    unrolled<kRows>([&](auto r) {
      const Packed value = Arithmetic::repeat(a + r * a_stride + k);
      unrolled<kVecs>([&](auto v) { sums[r][v] = Arithmetic::add_product(sums[r][v], value, columns[v]); });
    });
  }
  unrolled<kRows>([&](auto r) { unrolled<kVecs>([&](auto v) { store(c + r * c_stride + v * kLanes, sums[r][v]); }); });
}

// All rows from `row` on, kRows at a time, then what is left by smaller blocks.
template <class Arithmetic, int kRows, int kVecs>
inline void multiply_rows(const Product<typename Arithmetic::Number>& product, int64_t row, int64_t vec) {
  for (; row + kRows <= product.rows; row += kRows) multiply_block<Arithmetic, kRows, kVecs>(product, row, vec);
  // Rows come in pairs, and where kRows divides kRowMultiple nothing is left.
  if constexpr (kRows > 2 && (kRows != kBlockRows || kRowMultiple % kRows != 0)) {
    if (row < product.rows) multiply_rows<Arithmetic, kRows - 2, kVecs>(product, row, vec);
  }
}

template <class Arithmetic>
inline void multiply_in_registers(const Product<typename Arithmetic::Number>& product) {
  int64_t vec = 0;
  for (; vec + kBlockVecs <= product.num_vecs; vec += kBlockVecs) {
    multiply_rows<Arithmetic, kBlockRows, kBlockVecs>(product, 0, vec);
  }
  if constexpr (kBlockVecs > 1) {
    for (; vec < product.num_vecs; ++vec) multiply_rows<Arithmetic, kBlockRows, 1>(product, 0, vec);
  }
}

}  // namespace
}  // namespace amt::training
