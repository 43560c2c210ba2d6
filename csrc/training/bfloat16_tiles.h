// Products of bfloat16 by tiles of 16 rows of 64 bytes, as AMX has eight of: over a `Tiles` that has them. What the
// instructions do is said by EmulatedTiles.
#pragma once

#include "arithmetic.h"

namespace amt::training {
namespace {

constexpr int64_t kTileRows = 16, kTileBytes = 64;

// One tile is 16 rows of 32 numbers of `a`, 16 pairs of the depth of 16 columns of `b`, or 16 x 16 sums: just what
// Product holds, whose packed operand was made for this. 2 x 2 tiles of sums at a time.
template <class Tiles>
struct TiledBfloat16 : Bfloat16Pairs {
  static constexpr int64_t kGrain = 32;
  static constexpr int64_t kDepth = kTileBytes / 2;

  static void begin() { Tiles::begin(); }
  static void end() { Tiles::end(); }

  // Rows, columns and depth are multiples of 32, as grains and kPadding are.
  static void multiply(const Product<uint16_t>& product) {
    for (int64_t row = 0; row < product.rows; row += 2 * kTileRows) {
      for (int64_t vec = 0; vec < product.num_vecs; vec += 2) multiply_block(product, row, vec);
    }
  }

 private:
  static void multiply_block(const Product<uint16_t>& product, int64_t row, int64_t vec) {
    const int64_t c_bytes = product.c_stride * 4, a_bytes = product.a_stride * 2, b_bytes = product.b_stride * 2;
    float* c = product.c + row * product.c_stride + vec * kLanes;
    float* next_c = c + kTileRows * product.c_stride;
    if (product.accumulate) {
      Tiles::template load<0>(c, c_bytes);
      Tiles::template load<1>(c + kLanes, c_bytes);
      Tiles::template load<2>(next_c, c_bytes);
      Tiles::template load<3>(next_c + kLanes, c_bytes);
    } else {
      Tiles::template clear<0>();
      Tiles::template clear<1>();
      Tiles::template clear<2>();
      Tiles::template clear<3>();
    }
    const uint16_t* a = product.a + row * product.a_stride;
    const uint16_t* b = product.b + vec * kLanes * kStep;
    for (int64_t k = 0; k < product.depth; k += kDepth, a += kDepth, b += kDepth / kStep * product.b_stride) {
      Tiles::template load<4>(a, a_bytes);
      Tiles::template load<5>(a + kTileRows * product.a_stride, a_bytes);
      Tiles::template load<6>(b, b_bytes);
      Tiles::template load<7>(b + kLanes * kStep, b_bytes);
      Tiles::template multiply<0, 4, 6>();
      Tiles::template multiply<1, 4, 7>();
      Tiles::template multiply<2, 5, 6>();
      Tiles::template multiply<3, 5, 7>();
    }
    Tiles::template store<0>(c, c_bytes);
    Tiles::template store<1>(c + kLanes, c_bytes);
    Tiles::template store<2>(next_c, c_bytes);
    Tiles::template store<3>(next_c + kLanes, c_bytes);
  }
};

}  // namespace
}  // namespace amt::training
