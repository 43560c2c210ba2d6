// The Newton-Schulz iterations of one matrix. They must equal amt/ops/reference/newton_schulz.py.
//
// Two of the three products of an iteration are symmetric: tiles below the diagonal are computed, and stored twice.
#pragma once

#include "arithmetic.h"
#include "newton_schulz.h"
#include "scratch.h"

namespace amt::training {
namespace {

template <class Arithmetic>
class Orthogonalizer {
 public:
  using Number = typename Arithmetic::Number;
  static constexpr int64_t kStep = Arithmetic::kStep;

  // Without memory it can only say how much it takes.
  Orthogonalizer(const Matrix& matrix, std::byte* memory)
      : matrix_(matrix),
        is_turned_(matrix.rows > matrix.columns),
        rows_(is_turned_ ? matrix.columns : matrix.rows),
        columns_(is_turned_ ? matrix.rows : matrix.columns),
        row_stride_(stride_of(columns_)),
        gram_stride_(stride_of(rows_)) {
    Scratch scratch(memory);
    const int64_t padded_rows = round_up(rows_, kTile);
    scratch.take(x_, padded_rows * row_stride_);
    scratch.take(gram_, padded_rows * gram_stride_);
    scratch.take(polynomial_, padded_rows * gram_stride_);
    scratch.take(packed_, larger(padded_rows * row_stride_, padded_rows * gram_stride_));
    scratch.take(tile_, kTile * kTile);
    scratch.take(turned_, kTile * kTile);
    num_bytes_ = scratch.used();
  }

  int64_t num_bytes() const { return num_bytes_; }

  void run(const NewtonSchulz& iteration) {
    Arithmetic::begin();
    read(iteration.epsilon);
    for (int64_t step = 0; step < iteration.num_steps; ++step) {
      multiply_by_itself();
      for (int64_t tile = 0; tile < rows_; tile += kTile) {
        Arithmetic::pack_rows(gram_ + tile * gram_stride_, gram_stride_, packed_ + tile * gram_stride_);
      }
      make_polynomial(iteration);
      for (int64_t tile = 0; tile < rows_; tile += kTile) {
        Arithmetic::pack_rows(x_ + tile * row_stride_, row_stride_, packed_ + tile * row_stride_);
      }
      apply(iteration.a);
    }
    Arithmetic::end();
    write();
  }

 private:
  static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

  // Whole tiles, an odd number: rows that lie powers of 2 apart would share few places of the caches.
  static int64_t stride_of(int64_t size) { return (num_tiles(size) | 1) * kTile; }

  // The part of a size that a tile has, as products want it.
  static int64_t part(int64_t size, int64_t tile) {
    return engine::smaller(kTile, round_up(size - tile, Arithmetic::kPadding));
  }

  // gram = x @ x^T
  void multiply_by_itself() {
    constexpr int64_t kDepth = 256;  // of the columns at once, so that what is packed stays in the first cache
    const int64_t depth = round_up(columns_, Arithmetic::kPadding);
    for (int64_t column = 0; column < rows_; column += kTile) {
      Arithmetic::pack_columns(x_ + column * row_stride_, row_stride_, packed_);
      for (int64_t row = column; row < rows_; row += kTile) {
        for (int64_t k = 0; k < depth; k += kDepth) {
          Arithmetic::multiply({x_ + row * row_stride_ + k, row_stride_, packed_ + k * kTile, kTile * kStep,
                                part(rows_, row), part(rows_, column) / kLanes, engine::smaller(kDepth, depth - k),
                                tile_, kTile, k > 0});
        }
        store_twice(gram_, row, column);
      }
    }
  }

  // polynomial = b gram + c gram @ gram; the packed gram is the other operand.
  void make_polynomial(const NewtonSchulz& iteration) {
    for (int64_t row = 0; row < rows_; row += kTile) {
      for (int64_t column = 0; column <= row; column += kTile) {
        Arithmetic::multiply({gram_ + row * gram_stride_, gram_stride_, packed_ + column * kStep, gram_stride_ * kStep,
                              part(rows_, row), part(rows_, column) / kLanes, round_up(rows_, Arithmetic::kPadding),
                              tile_, kTile, false});
        for (int64_t i = 0; i < kTile; ++i) {
          for (int64_t j = 0; j < kTile; j += kLanes) {
            const Vec gram = load(gram_ + (row + i) * gram_stride_ + column + j);
            float* sum = tile_ + i * kTile + j;
            store(sum, multiply_add(load(sum), set1(iteration.c), gram * set1(iteration.b)));
          }
        }
        store_twice(polynomial_, row, column);
      }
    }
  }

  // x = a x + polynomial @ x; the packed x is the other operand.
  void apply(float a) {
    for (int64_t column = 0; column < columns_; column += kTile) {
      for (int64_t row = 0; row < rows_; row += kTile) {
        Number* x = x_ + row * row_stride_ + column;
        for (int64_t i = 0; i < kTile; ++i) {
          for (int64_t j = 0; j < kTile; j += kLanes) {
            store(tile_ + i * kTile + j, load(x + i * row_stride_ + j) * set1(a));
          }
        }
        Arithmetic::multiply({polynomial_ + row * gram_stride_, gram_stride_, packed_ + column * kStep,
                              row_stride_ * kStep, part(rows_, row), part(columns_, column) / kLanes,
                              round_up(rows_, Arithmetic::kPadding), tile_, kTile, true});
        put(tile_, x, row_stride_);
      }
    }
  }

  void store_twice(Number* square, int64_t row, int64_t column) {
    put(tile_, square + row * gram_stride_ + column, gram_stride_);
    if (row == column) return;
    transpose(tile_, kTile, kTile, kTile, turned_, kTile);
    put(turned_, square + column * gram_stride_ + row, gram_stride_);
  }

  static void put(const float* tile, Number* to, int64_t stride) {
    for (int64_t i = 0; i < kTile; ++i) {
      for (int64_t j = 0; j < kTile; j += kLanes) store(to + i * stride + j, load(tile + i * kTile + j));
    }
  }

  void read(float epsilon) {
    float total = 0.0f;
    for (int64_t row = 0; row < matrix_.rows; ++row) {
      Vec squares = zero();
      engine::for_lanes(matrix_.columns, [&](int64_t i, int64_t num) {
        const Vec numbers = engine::load_some(matrix_.numbers + row * matrix_.columns + i, num);
        squares = multiply_add(numbers, numbers, squares);
      });
      total += engine::add_lanes(squares);
    }
    const float norm = __builtin_sqrtf(total), factor = 1.0f / (norm > epsilon ? norm : epsilon);
    // Where rows and columns are padded, x is 0 and stays so; the squares may hold anything there, as nobody reads it.
    for (int64_t i = 0; i < round_up(rows_, kTile) * row_stride_; ++i) x_[i] = Number{};
    for (int64_t i = 0; i < round_up(rows_, kTile) * gram_stride_; ++i) gram_[i] = polynomial_[i] = Number{};
    for_tiles([&](int64_t row, int64_t column, int64_t num_rows, int64_t num_columns) {
      for (int64_t i = 0; i < kTile * kTile; ++i) tile_[i] = 0.0f;
      for (int64_t i = 0; i < num_rows; ++i) {
        const float* from = matrix_.numbers + (row + i) * matrix_.columns + column;
        for (int64_t j = 0; j < num_columns; ++j) tile_[i * kTile + j] = from[j] * factor;
      }
      if (is_turned_) transpose(tile_, kTile, kTile, kTile, turned_, kTile);
      put(is_turned_ ? turned_ : tile_, x_ + (is_turned_ ? column * row_stride_ + row : row * row_stride_ + column),
          row_stride_);
    });
  }

  void write() {
    for_tiles([&](int64_t row, int64_t column, int64_t num_rows, int64_t num_columns) {
      const Number* x = x_ + (is_turned_ ? column * row_stride_ + row : row * row_stride_ + column);
      for (int64_t i = 0; i < kTile; ++i) {
        for (int64_t j = 0; j < kTile; j += kLanes) store(tile_ + i * kTile + j, load(x + i * row_stride_ + j));
      }
      if (is_turned_) transpose(tile_, kTile, kTile, kTile, turned_, kTile);
      const float* from = is_turned_ ? turned_ : tile_;
      for (int64_t i = 0; i < num_rows; ++i) {
        __builtin_memcpy(matrix_.numbers + (row + i) * matrix_.columns + column, from + i * kTile,
                         num_columns * sizeof(float));
      }
    });
  }

  // Calls operation(row, column, num_rows, num_columns) for each tile of the matrix itself.
  template <class Operation>
  void for_tiles(Operation operation) const {
    for (int64_t row = 0; row < matrix_.rows; row += kTile) {
      for (int64_t column = 0; column < matrix_.columns; column += kTile) {
        operation(row, column, engine::smaller(kTile, matrix_.rows - row),
                  engine::smaller(kTile, matrix_.columns - column));
      }
    }
  }

  const Matrix matrix_;
  const bool is_turned_;
  const int64_t rows_, columns_;  // of x, which has no more rows than columns
  const int64_t row_stride_, gram_stride_;
  int64_t num_bytes_;

  Number *x_ = nullptr, *gram_ = nullptr, *polynomial_ = nullptr, *packed_ = nullptr;
  float *tile_ = nullptr, *turned_ = nullptr;  // (kTile, kTile)
};

}  // namespace
}  // namespace amt::training
