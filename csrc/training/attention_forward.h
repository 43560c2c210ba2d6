// Tiles of queries of one head over all their keys: output = softmax(scale * query @ key^T) @ value, and lse. It must
// equal `attention` of amt/ops/reference/attention.py.
//
// Everything is turned: lanes are queries, so that the largest score and the sum of a query are those of a lane. The
// scores of a tile of keys (kTile keys, kTile queries) become weights, which multiply the turned values: the output
// (head_dim, kTile) grows from tile to tile and is rescaled when a larger score comes. Scores count in powers of 2.
//
// Source: Dao et al. 2022, arXiv:2205.14135.
#pragma once

#include "arithmetic.h"
#include "dropout.h"
#include "masks.h"
#include "rows.h"
#include "scratch.h"

namespace amt::training {
namespace {

template <class Arithmetic>
class AttentionForward {
 public:
  using Number = typename Arithmetic::Number;
  static constexpr int64_t kStep = Arithmetic::kStep, kGrain = Arithmetic::kGrain;

  // Without memory it can only say how much it takes.
  AttentionForward(const AttentionCall& call, const Part& part, std::byte* memory)
      : call_(call),
        part_(part),
        preparation_(call, part.batch, part.head),
        dim_(round_up(call.head_dim, Arithmetic::kPadding)) {
    Scratch scratch(memory);
    scratch.take(rows_, kTile * dim_);
    scratch.take(queries_, kTile * dim_);
    scratch.take(keys_, num_tiles(call.key_len) * kTile * dim_);
    scratch.take(values_, num_tiles(call.key_len) * kTile * dim_);
    scratch.take(scores_, kTile * kTile);
    scratch.take(weights_, kTile * kTile);
    scratch.take(turned_, dim_ * kTile);
    scratch.take(output_, kTile * dim_);
    scratch.take(row_max_, kTile);
    scratch.take(row_sum_, kTile);
    scratch.take(factors_, kTile);
    num_bytes_ = scratch.used();
  }

  int64_t num_bytes() const { return num_bytes_; }

  void run() {
    Arithmetic::begin();
    const Visible visible(call_, part_.batch);
    pack(visible.keys_of(part_.first_tile * kTile, part_.last_tile * kTile));
    for (int64_t tile = part_.first_tile; tile < part_.last_tile; ++tile) run_tile(visible, tile * kTile);
    Arithmetic::end();
  }

 private:
  void pack(Span keys) {
    if (keys.is_empty()) return;
    for (int64_t tile = keys.first / kTile; tile < num_tiles(keys.last); ++tile) {
      const int64_t first = tile * kTile, num = engine::smaller(kTile, call_.key_len - first);
      read_rows(call_, call_.key, part_.batch, part_.head, first, num, kTile, dim_, keys_ + first * dim_);
      preparation_.prepare(keys_ + first * dim_, dim_, first, num);
      read_rows(call_, call_.value, part_.batch, part_.head, first, num, kTile, dim_, rows_);
      Arithmetic::turn(rows_, dim_, values_ + first * dim_);
    }
  }

  void run_tile(const Visible& visible, int64_t first) {
    const int64_t num = engine::smaller(kTile, call_.query_len - first);
    read_rows(call_, call_.query, part_.batch, part_.head, first, num, kTile, dim_, rows_);
    preparation_.prepare(rows_, dim_, first, num);
    Arithmetic::pack_columns(rows_, dim_, queries_);
    for (int64_t i = 0; i < dim_ * kTile; ++i) turned_[i] = 0.0f;
    for (int64_t i = 0; i < kTile; ++i) row_max_[i] = kNoScore, row_sum_[i] = 0.0f;

    const Span keys = visible.keys_of(first, first + kTile);
    for (int64_t tile = keys.first / kTile * kTile; tile < keys.last; tile += kTile) {
      // Neighbouring queries that see the same part of the tile go together.
      const auto seen = [&](int64_t query) {
        const Span span = visible.keys_of(first + query, first + query + kGrain);
        return in_tile(span.first, span.last, tile, kGrain);
      };
      for (int64_t begin = 0, end; begin < kTile; begin = end) {
        const Span span = seen(begin);
        for (end = begin + kGrain; end < kTile && seen(end) == span;) end += kGrain;
        if (!span.is_empty()) attend(visible, first, {begin, end}, tile, span);
      }
    }
    finish(visible.query_end, first, num);
  }

  // Adds what the queries (counted from first_query) find in the keys (counted from first_key).
  void attend(const Visible& visible, int64_t first_query, Span queries, int64_t first_key, Span keys) {
    const int64_t num_vecs = (queries.last - queries.first) / kLanes, num_keys = keys.last - keys.first;
    const int64_t place = keys.first * kTile + queries.first, packed_place = keys.first * kTile + queries.first * kStep;
    Arithmetic::multiply({keys_ + (first_key + keys.first) * dim_, dim_, queries_ + queries.first * kStep,
                          kTile * kStep, num_keys, num_vecs, dim_, scores_ + place, kTile, false});
    for (int64_t query = queries.first; query < queries.last; query += kLanes) {
      soften(visible, first_query, query, first_key, keys);
    }
    Arithmetic::multiply({values_ + first_key * dim_ + keys.first, kTile, weights_ + packed_place, kTile * kStep, dim_,
                          num_vecs, num_keys, turned_ + queries.first, kTile, true});
  }

  // Scores of 16 queries -> weights, and what there was before on the new scale.
  void soften(const Visible& visible, int64_t first_query, int64_t query, int64_t first_key, Span keys) {
    float* scores = scores_ + query;
    const Vec old_max = load(row_max_ + query);
    Vec row_max = old_max;
    float factor = call_.scale * kLog2E;
    const int64_t position = first_query + query;
    if (factor > 0.0f &&
        visible.is_all({position, position + kLanes}, {first_key + keys.first, first_key + keys.last})) {
      Vec largest[2] = {load(scores + keys.first * kTile), load(scores + (keys.first + 1) * kTile)};
      for (int64_t key = keys.first + 2; key < keys.last; key += 2) {
        largest[0] = max(largest[0], load(scores + key * kTile));
        largest[1] = max(largest[1], load(scores + (key + 1) * kTile));
      }
      row_max = max(row_max, max(largest[0], largest[1]) * set1(factor));
    } else {
      for (int64_t key = keys.first; key < keys.last; ++key) {
        const Vec score = visible.hidden(load(scores + key * kTile) * set1(factor), first_key + key, position);
        store(scores + key * kTile, score);
        row_max = max(row_max, score);
      }
      factor = 1.0f;
    }
    if (has_dropout()) draw(first_key, keys, position);

    const Vec minus_max = zero() - row_max;
    Vec sums[2] = {zero(), zero()};
    Number* weights = weights_ + query * kStep;
    for (int64_t key = keys.first; key < keys.last; key += 2) {
      Vec first = power_of_two(multiply_add(load(scores + key * kTile), set1(factor), minus_max));
      Vec second = power_of_two(multiply_add(load(scores + (key + 1) * kTile), set1(factor), minus_max));
      sums[0] = sums[0] + first;
      sums[1] = sums[1] + second;
      if (has_dropout()) {
        first = first * load(factors_[key]);
        second = second * load(factors_[key + 1]);
      }
      Arithmetic::put_packed(weights + key * kTile, first, second);
    }

    Vec row_sum = load(row_sum_ + query);
    if (has_positive_lane(row_max - old_max)) {
      const Vec shrink = power_of_two(old_max - row_max);
      row_sum = row_sum * shrink;
      for (float* output = turned_ + query; output < turned_ + dim_ * kTile; output += kTile) {
        store(output, load(output) * shrink);
      }
    }
    store(row_sum_ + query, row_sum + (sums[0] + sums[1]));
    store(row_max_ + query, row_max);
  }

  bool has_dropout() const { return call_.dropout_threshold > 0; }

  void draw(int64_t first_key, Span keys, int64_t position) {
    const Draws draws(call_, part_.batch, part_.head);
    for (int64_t key = keys.first; key < keys.last; key += kDrawsPerCall) {
      draws.factors(first_key + key, position, factors_ + key);
    }
  }

  void finish(int64_t query_end, int64_t first, int64_t num) {
    float* lse = call_.lse + (part_.batch * call_.num_heads + part_.head) * call_.query_len + first;
    float factors[kTile];
    for (int64_t i = 0; i < kTile; ++i) {
      const bool is_empty = row_sum_[i] == 0.0f || first + i >= query_end;
      factors[i] = is_empty ? 0.0f : 1.0f / row_sum_[i];
      if (i < num) lse[i] = is_empty ? -kInfinity : (row_max_[i] + __builtin_log2f(row_sum_[i])) * kLn2;
    }
    transpose(turned_, kTile, dim_, kTile, output_, dim_);
    for (int64_t i = 0; i < num; ++i) {
      write_rows(call_, output_ + i * dim_, dim_, 1, factors[i], call_.output, part_.batch, part_.head, first + i);
    }
  }

  const AttentionCall& call_;
  const Part part_;
  const Preparation preparation_;
  const int64_t dim_;
  int64_t num_bytes_;

  Number *rows_ = nullptr, *queries_ = nullptr;  // (kTile, dim); packed columns
  Number *keys_ = nullptr, *values_ = nullptr;   // (key_len, dim); tiles (dim, kTile)
  float* scores_ = nullptr;                      // (kTile keys, kTile queries)
  Number* weights_ = nullptr;                    // the same, packed
  float *turned_ = nullptr, *output_ = nullptr;  // (dim, kTile); (kTile, dim)
  float *row_max_ = nullptr, *row_sum_ = nullptr;
  float (*factors_)[kLanes] = nullptr;  // (kTile keys, 16 queries): what dropout multiplies weights by
};

}  // namespace
}  // namespace amt::training
