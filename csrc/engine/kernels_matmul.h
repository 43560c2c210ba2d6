// matmul and quantize_rows. Lanes are output features; a tile is some rows times some panels, its sums stay in
// registers. Each element is one chain: inputs ascending, one fused multiply-add each, a fresh sum every kBlock inputs,
// those sums added in order. So tiles and ranges can be cut anywhere without changing a bit.
#pragma once

#include "kernels.h"

namespace amt::engine {
namespace {

constexpr int64_t kBlock = 256;
// How far ahead of the multiplications each panel's weights are called into the first cache.
constexpr int64_t kPrefetchBytes = 3072;

template <class Element>
inline void call_ahead(const Element* weights) {
  prefetch(reinterpret_cast<const char*>(weights) + kPrefetchBytes);
}

struct MatmulCall {
  const PackedMatrix* matrix;
  const Activations* x;
  bool accumulate;
  float* out;
  int64_t out_stride;
};

inline void finish(const MatmulCall& call, int64_t row, int64_t panel, Vec sum) {
  float* out = call.out + row * call.out_stride + panel * kPanel;
  const Vec result = sum + load(call.matrix->bias + panel * kPanel);
  store(out, call.accumulate ? load(out) + result : result);
}

template <class Number, int kRows, int kPanels>
inline void clear(Number (&sums)[kRows][kPanels], Number nothing) {
  unrolled<kRows>([&](auto r) { unrolled<kPanels>([&](auto p) { sums[r][p] = nothing; }); });
}

// Multiplies inputs begin .. end of float32 weights.
template <int kRows, int kPanels>
inline void add_products(Vec (&sums)[kRows][kPanels], const float* const (&weights)[kPanels], const float* x,
                         int64_t stride, int64_t begin, int64_t end) {
  for (int64_t k = begin; k < end; ++k) {
    Vec w[kPanels];
    unrolled<kPanels>([&](auto p) {
      call_ahead(weights[p] + k * kPanel);
      w[p] = load(weights[p] + k * kPanel);
    });
    unrolled<kRows>([&](auto r) {
      const Vec value = set1(x[r * stride + k]);
      unrolled<kPanels>([&](auto p) { sums[r][p] = multiply_add(w[p], value, sums[r][p]); });
    });
  }
}

// The same for bfloat16: two inputs lie together. Behind the last input the weights and x hold a zero.
template <int kRows, int kPanels>
inline void add_products(Vec (&sums)[kRows][kPanels], const uint16_t* const (&weights)[kPanels], const float* x,
                         int64_t stride, int64_t begin, int64_t end) {
  for (int64_t k = begin; k < end; k += 2) {
    Vec first[kPanels], second[kPanels];
    unrolled<kPanels>([&](auto p) {
      call_ahead(weights[p] + k * kPanel);
      load_pairs(weights[p] + k * kPanel, first[p], second[p]);
    });
    unrolled<kRows>([&](auto r) {
      const Vec value = set1(x[r * stride + k]), next = set1(x[r * stride + k + 1]);
      unrolled<kPanels>(
          [&](auto p) { sums[r][p] = multiply_add(second[p], next, multiply_add(first[p], value, sums[r][p])); });
    });
  }
}

struct Float32Weights {
  using Element = float;
  static constexpr int64_t kGroup = 1;  // inputs that lie together
  static constexpr int kMostRows = kMaxRows, kMostSums = kMaxSums;
};

struct Bfloat16Weights {
  using Element = uint16_t;
  static constexpr int64_t kGroup = 2;
  static constexpr int kMostRows = kMaxRows, kMostSums = kMaxSums;
};

struct Int8Weights {
  using Element = int8_t;
  static constexpr int64_t kGroup = 4;
  static constexpr int kMostRows = kMaxRowsInt8, kMostSums = kMaxSumsInt8;
};

template <class Weights, int kPanels>
inline void find_panels(const PackedMatrix& matrix, int64_t panel,
                        const typename Weights::Element* (&weights)[kPanels]) {
  const int64_t size = (matrix.in_features + Weights::kGroup - 1) / Weights::kGroup * Weights::kGroup * kPanel;
  for (int p = 0; p < kPanels; ++p) {
    weights[p] = static_cast<const typename Weights::Element*>(matrix.weights) + (panel + p) * size;
  }
}

template <class Weights, int kRows, int kPanels>
struct Tile {
  [[gnu::flatten]] static void run(const MatmulCall& call, int64_t row, int64_t panel) {
    const typename Weights::Element* weights[kPanels];
    find_panels<Weights>(*call.matrix, panel, weights);
    const float* x = call.x->values + row * call.x->stride;
    const int64_t in_features = call.matrix->in_features;
    Vec totals[kRows][kPanels], sums[kRows][kPanels];
    clear(totals, zero());
    for (int64_t begin = 0; begin < in_features; begin += kBlock) {
      clear(sums, zero());
      add_products(sums, weights, x, call.x->stride, begin, smaller(begin + kBlock, in_features));
      unrolled<kRows>([&](auto r) { unrolled<kPanels>([&](auto p) { totals[r][p] = totals[r][p] + sums[r][p]; }); });
    }
    unrolled<kRows>(
        [&](auto r) { unrolled<kPanels>([&](auto p) { finish(call, row + r, panel + p, totals[r][p]); }); });
  }
};

template <int kRows, int kPanels>
struct Tile<Int8Weights, kRows, kPanels> {
  [[gnu::flatten]] static void run(const MatmulCall& call, int64_t row, int64_t panel) {
    const PackedMatrix& matrix = *call.matrix;
    const int8_t* weights[kPanels];
    find_panels<Int8Weights>(matrix, panel, weights);
    const int64_t stride = call.x->quantized_stride;
    const int8_t* x = call.x->quantized + row * stride;
    Ints sums[kRows][kPanels];
    clear(sums, zero_ints());
    for (int64_t k = 0; k < matrix.in_features; k += 4) {
      // Fewer rows are over so soon that the calls cost more than they bring.
      if constexpr (kRows > 8) unrolled<kPanels>([&](auto p) { call_ahead(weights[p] + k * kPanel); });
      unrolled<kRows>([&](auto r) {
        const Bytes bytes = broadcast_bytes(x + r * stride + k);
        unrolled<kPanels>([&](auto p) { dot(sums[r][p], weights[p] + k * kPanel, bytes); });
      });
    }
    unrolled<kRows>([&](auto r) {
      const Vec row_scale = set1(call.x->scales[row + r]);
      unrolled<kPanels>([&](auto p) {
        const int64_t column = (panel + p) * kPanel;
        const Vec scale = row_scale * load(matrix.scales + column);
        finish(call, row + r, panel + p, to_floats(sums[r][p], matrix.row_sums + column) * scale);
      });
    });
  }
};

using TileFunction = void (*)(const MatmulCall& call, int64_t row, int64_t panel);

// The tiles of some rows: of one panel, and of as many as their sums fit the registers.
struct TilePair {
  TileFunction narrow, wide;
  int wide_panels;
};

// The tiles of one type of weights: rows 1 .. kMostRows.
template <class Weights>
struct TileTable {
  TilePair pairs[Weights::kMostRows];

  template <int kRows>
  constexpr void fill() {
    if constexpr (kRows <= Weights::kMostRows) {
      constexpr int kFit = Weights::kMostSums / kRows, kPanels = kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
      pairs[kRows - 1] = {Tile<Weights, kRows, 1>::run, Tile<Weights, kRows, kPanels>::run, kPanels};
      fill<kRows + 1>();
    }
  }

  constexpr TileTable() : pairs{} { fill<1>(); }
};

template <class Weights>
constexpr TileTable<Weights> kTiles;

// Panels outside, rows inside: a panel comes from memory once and from the cache for the rows after.
template <class Weights>
inline void run_tiles(const MatmulCall& call, int64_t first_panel, int64_t last_panel) {
  const int64_t num_rows = call.x->num_rows;
  if (num_rows < 1) return;
  const int64_t num_tiles = (num_rows + Weights::kMostRows - 1) / Weights::kMostRows;
  const int64_t tile_rows = num_rows / num_tiles, num_larger = num_rows % num_tiles;
  const TilePair* pairs = kTiles<Weights>.pairs;
  const int64_t width = pairs[tile_rows - 1].wide_panels;
  for (int64_t panel = first_panel; panel < last_panel; panel += width) {
    const int64_t end = smaller(panel + width, last_panel);
    int64_t row = 0;
    for (int64_t tile = 0; tile < num_tiles; ++tile) {
      const int64_t rows = tile_rows + (tile < num_larger);
      const TilePair& pair = pairs[rows - 1];
      for (int64_t at = panel; at < end;) {
        const bool is_wide = at + pair.wide_panels <= end;
        (is_wide ? pair.wide : pair.narrow)(call, row, at);
        at += is_wide ? pair.wide_panels : 1;
      }
      row += rows;
    }
  }
}

inline void matmul_int8(const PackedMatrix& matrix, const Activations& x, int64_t first_panel, int64_t last_panel,
                        bool accumulate, float* out, int64_t out_stride) {
  run_tiles<Int8Weights>({&matrix, &x, accumulate, out, out_stride}, first_panel, last_panel);
}

inline void matmul(const PackedMatrix& matrix, const Activations& x, int64_t first_panel, int64_t last_panel,
                   bool accumulate, float* out, int64_t out_stride) {
  const MatmulCall call = {&matrix, &x, accumulate, out, out_stride};
  switch (matrix.type) {
    case NumberType::kFloat32:
      return run_tiles<Float32Weights>(call, first_panel, last_panel);
    case NumberType::kBfloat16:
      return run_tiles<Bfloat16Weights>(call, first_panel, last_panel);
    case NumberType::kInt8:
      return matmul_int8(matrix, x, first_panel, last_panel, accumulate, out, out_stride);
  }
}

// Calls write(i, num, bytes) for each 16 numbers of a row; behind `num` the bytes are 0. Returns the row's scale.
template <class Write>
inline float quantize(const float* x, int64_t num_features, Write write) {
  Vec lanes = zero();
  for_lanes(num_features, [&](int64_t i, int64_t num) { lanes = max(absolute(load_some(x + i, num)), lanes); });
  const float largest = largest_lane(lanes);
  const Vec inverse = set1(largest > 0.0f ? 127.0f / largest : 0.0f), limit = set1(127.0f);
  for_lanes(num_features, [&](int64_t i, int64_t num) {
    alignas(16) int8_t bytes[kLanes];
    store_bytes(bytes, min(limit, max(zero() - limit, load_some(x + i, num) * inverse)));
    write(i, num, bytes);
  });
  return largest / 127.0f;
}

inline void quantize_rows(const float* values, int64_t stride, int64_t num_features, int64_t first_row,
                          int64_t last_row, int8_t* quantized, int64_t quantized_stride, float* scales) {
  for (int64_t row = first_row; row < last_row; ++row) {
    int8_t* to = quantized + row * quantized_stride;
    scales[row] = quantize(values + row * stride, num_features,
                           [&](int64_t i, int64_t, const int8_t* bytes) { __builtin_memcpy(to + i, bytes, kLanes); });
    for (int64_t i = round_up(num_features, kLanes); i < quantized_stride; i += kLanes) store_bytes(to + i, zero());
  }
}

}  // namespace
}  // namespace amt::engine
