// Tiles of keys of one head over all queries that see them: the gradients of query, key and value. It must equal
// `attention_gradients` of amt/ops/reference/attention.py.
//
// As in attention_forward.h lanes are queries. A strip of kGrain keys at a time, the scores and the gradients of the
// weights are computed again from what was packed; they become weights and the gradients of the scores, which add to
// the gradients of the strip's values and keys at once, and at the end of the tile to that of the queries, which stays
// turned (head_dim, kTile) until all tiles are done. So each sum has one order, whatever thread computes it.
//
// Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4.
#pragma once

#include "arithmetic.h"
#include "dropout.h"
#include "masks.h"
#include "rows.h"
#include "scratch.h"

namespace amt::training {
namespace {

template <class Arithmetic>
class AttentionBackward {
 public:
  using Number = typename Arithmetic::Number;
  static constexpr int64_t kStep = Arithmetic::kStep, kGrain = Arithmetic::kGrain;

  // Without memory it can only say how much it takes.
  AttentionBackward(const AttentionCall& call, const Part& part, std::byte* memory)
      : call_(call),
        part_(part),
        preparation_(call, part.batch, part.head),
        dim_(round_up(call.head_dim, Arithmetic::kPadding)) {
    Scratch scratch(memory);
    const int64_t queries = num_tiles(call.query_len) * kTile;
    scratch.take(rows_, kTile * dim_);
    for (Packed* packed : {&query_, &grad_output_}) {
      scratch.take(packed->columns, queries * dim_);
      scratch.take(packed->rows, queries * dim_);
    }
    scratch.take(lse_, queries);
    scratch.take(delta_, queries);
    scratch.take(grad_query_, queries * dim_);
    scratch.take(sum_, queries * dim_);
    scratch.take(keys_, kTile * dim_);
    scratch.take(values_, kTile * dim_);
    scratch.take(turned_keys_, kTile * dim_);
    scratch.take(grad_key_, kTile * dim_);
    scratch.take(grad_value_, kTile * dim_);
    scratch.take(scores_, kGrain * kTile);
    scratch.take(grad_weights_, kGrain * kTile);
    scratch.take(weight_rows_, kGrain * kTile);
    scratch.take(grad_score_rows_, kGrain * kTile);
    scratch.take(grad_scores_, kTile * kTile);
    for (float** tile : {&output_, &turned_output_, &turned_grad_}) scratch.take(*tile, kTile * dim_);
    scratch.take(factors_, kGrain);
    num_bytes_ = scratch.used();
  }

  int64_t num_bytes() const { return num_bytes_; }

  void run() {
    Arithmetic::begin();
    const Visible visible(call_, part_.batch);
    const Span queries = visible.queries_of(part_.first_tile * kTile, part_.last_tile * kTile);
    if (!queries.is_empty()) {
      for (int64_t tile = queries.first / kTile; tile < num_tiles(queries.last); ++tile) pack(visible, tile * kTile);
    }
    for (int64_t i = 0; i < num_tiles(call_.query_len) * kTile * dim_; ++i) grad_query_[i] = 0.0f;
    for (int64_t tile = part_.first_tile; tile < part_.last_tile; tile += kTilesPerSum) run_sum(visible, tile);
    Arithmetic::end();
    for (int64_t tile = 0; tile < num_tiles(call_.query_len); ++tile) finish_queries(tile * kTile);
  }

 private:
  void pack(const Visible& visible, int64_t first) {
    const int64_t num = engine::smaller(kTile, call_.query_len - first);
    read_rows(call_, call_.query, part_.batch, part_.head, first, num, kTile, dim_, rows_);
    preparation_.prepare(rows_, dim_, first, num);
    Arithmetic::pack_columns(rows_, dim_, query_.columns + first * dim_);
    Arithmetic::pack_rows(rows_, dim_, query_.rows + first * dim_);
    read_rows(call_, call_.grad_output, part_.batch, part_.head, first, num, kTile, dim_, rows_);
    Arithmetic::pack_columns(rows_, dim_, grad_output_.columns + first * dim_);
    Arithmetic::pack_rows(rows_, dim_, grad_output_.rows + first * dim_);

    // delta: the product of each output with its gradient, in the order in which the gradients of weights are summed:
    // with one key both are the same to the bit.
    read_rows(call_, call_.output, part_.batch, part_.head, first, num, kTile, dim_, output_);
    transpose(output_, dim_, kTile, dim_, turned_output_, kTile);
    read_rows(call_, call_.grad_output, part_.batch, part_.head, first, num, kTile, dim_, output_);
    transpose(output_, dim_, kTile, dim_, turned_grad_, kTile);
    for (int64_t query = 0; query < kTile; query += kLanes) {
      Vec sum = zero();
      for (int64_t i = query; i < dim_ * kTile; i += kTile) {
        sum = multiply_add(load(turned_output_ + i), load(turned_grad_ + i), sum);
      }
      store(delta_ + first + query, sum);
    }
    const int64_t place = (part_.batch * call_.num_heads + part_.head) * call_.query_len + first;
    for (int64_t i = 0; i < kTile; ++i) {
      // Behind the end, and for queries that attend to nothing, inf: their weights become 0.
      const bool is_empty = first + i >= visible.query_end || call_.lse[place + i] == -kInfinity;
      lse_[first + i] = is_empty ? kInfinity : call_.lse[place + i] * kLog2E;
      if (is_empty) {
        delta_[first + i] = 0.0f;
      } else if (call_.grad_lse != nullptr) {
        delta_[first + i] -= call_.grad_lse[place + i];
      }
    }
  }

  // The tiles of one sum. The first is added up where all of them are.
  void run_sum(const Visible& visible, int64_t first_tile) {
    const int64_t end = engine::smaller(first_tile + kTilesPerSum, part_.last_tile);
    const Span queries = visible.queries_of(first_tile * kTile, end * kTile);
    const int64_t first = queries.first / kTile * kTile * dim_, last = num_tiles(queries.last) * kTile * dim_;
    float* all = grad_query_;
    if (first_tile > part_.first_tile) {
      grad_query_ = sum_;
      for (int64_t i = first; i < last; ++i) sum_[i] = 0.0f;
    }
    for (int64_t tile = first_tile; tile < end; ++tile) run_tile(visible, tile * kTile);
    if (grad_query_ == all) return;
    for (int64_t i = first; i < last; ++i) all[i] += sum_[i];
    grad_query_ = all;
  }

  void run_tile(const Visible& visible, int64_t first_key) {
    const int64_t num = engine::smaller(kTile, call_.key_len - first_key);
    read_rows(call_, call_.key, part_.batch, part_.head, first_key, num, kTile, dim_, keys_);
    preparation_.prepare(keys_, dim_, first_key, num);
    read_rows(call_, call_.value, part_.batch, part_.head, first_key, num, kTile, dim_, values_);
    Arithmetic::turn(keys_, dim_, turned_keys_);
    for (int64_t i = 0; i < kTile * dim_; ++i) grad_key_[i] = grad_value_[i] = 0.0f;

    const Span queries = visible.queries_of(first_key, first_key + kTile);
    for (int64_t first = queries.first / kTile * kTile; first < queries.last; first += kTile) {
      for (int64_t strip = 0; strip < kTile; strip += kGrain) {
        const Span all = visible.queries_of(first_key + strip, first_key + strip + kGrain);
        const Span seen = in_tile(all.first, all.last, first, kGrain);
        if (!seen.is_empty()) add_strip(visible, first_key, strip, first, seen);
      }
      add_to_queries(visible, first_key, first);
    }
    preparation_.undo(grad_key_, dim_, call_.key, first_key, num);
    write_rows(call_, grad_key_, dim_, num, call_.scale, call_.grad_key, part_.batch, part_.head, first_key);
    write_rows(call_, grad_value_, dim_, num, 1.0f, call_.grad_value, part_.batch, part_.head, first_key);
  }

  // What the queries (counted from first_query) say about kGrain keys; the gradients of their scores.
  void add_strip(const Visible& visible, int64_t first_key, int64_t strip, int64_t first_query, Span queries) {
    const int64_t num_vecs = (queries.last - queries.first) / kLanes, num = queries.last - queries.first;
    const int64_t columns = first_query * dim_ + queries.first * kStep, rows = (first_query + queries.first) * dim_;
    Arithmetic::multiply({keys_ + strip * dim_, dim_, query_.columns + columns, kTile * kStep, kGrain, num_vecs, dim_,
                          scores_ + queries.first, kTile, false});
    Arithmetic::multiply({values_ + strip * dim_, dim_, grad_output_.columns + columns, kTile * kStep, kGrain, num_vecs,
                          dim_, grad_weights_ + queries.first, kTile, false});
    for (int64_t query = queries.first; query < queries.last; query += kLanes) {
      weigh(visible, first_key, strip, first_query, query);
    }
    const Number* grad_rows = kStep == 1 ? grad_scores_ + strip * kTile : grad_score_rows_;
    Arithmetic::multiply({weight_rows_ + queries.first, kTile, grad_output_.rows + rows, dim_ * kStep, kGrain,
                          dim_ / kLanes, num, grad_value_ + strip * dim_, dim_, true});
    Arithmetic::multiply({grad_rows + queries.first, kTile, query_.rows + rows, dim_ * kStep, kGrain, dim_ / kLanes,
                          num, grad_key_ + strip * dim_, dim_, true});
  }

  // Scores and gradients of the weights of 16 queries -> weights and gradients of the scores (before the scale).
  void weigh(const Visible& visible, int64_t first_key, int64_t strip, int64_t first_query, int64_t query) {
    const int64_t position = first_query + query, key = first_key + strip;
    const bool is_all = visible.is_all({position, position + kLanes}, {key, key + kGrain});
    const bool has_dropout = call_.dropout_threshold > 0;
    if (has_dropout) {
      const Draws draws(call_, part_.batch, part_.head);
      for (int64_t i = 0; i < kGrain; i += kDrawsPerCall) draws.factors(key + i, position, factors_ + i);
    }
    const Vec factor = set1(call_.scale * kLog2E), lse = load(lse_ + position), delta = load(delta_ + position);
    for (int64_t i = 0; i < kGrain; i += 2) {
      Vec weights[2], grads[2];
      unrolled<2>([&](auto j) {
        const Vec scores = load(scores_ + (i + j) * kTile + query);
        const Vec exponents = is_all ? multiply_add(scores, factor, zero() - lse)
                                     : visible.hidden(scores * factor, key + i + j, position) - lse;
        weights[j] = power_of_two(exponents);
        grads[j] = load(grad_weights_ + (i + j) * kTile + query);
        if (has_dropout) grads[j] = grads[j] * load(factors_[i + j]);
        grads[j] = weights[j] * (grads[j] - delta);
        if (has_dropout) weights[j] = weights[j] * load(factors_[i + j]);
      });
      Arithmetic::put_rows(weight_rows_ + i * kTile + query, weights[0], weights[1]);
      if constexpr (kStep > 1) Arithmetic::put_rows(grad_score_rows_ + i * kTile + query, grads[0], grads[1]);
      Arithmetic::put_packed(grad_scores_ + (strip + i) * kTile + query * kStep, grads[0], grads[1]);
    }
  }

  // What a tile of keys says about a tile of queries.
  void add_to_queries(const Visible& visible, int64_t first_key, int64_t first_query) {
    const auto seen = [&](int64_t query) {
      const Span span = visible.keys_of(first_query + query, first_query + query + kGrain);
      return in_tile(span.first, span.last, first_key, kGrain);
    };
    for (int64_t begin = 0, end; begin < kTile; begin = end) {
      const Span keys = seen(begin);
      for (end = begin + kGrain; end < kTile && seen(end) == keys;) end += kGrain;
      if (keys.is_empty()) continue;
      Arithmetic::multiply({turned_keys_ + keys.first, kTile, grad_scores_ + keys.first * kTile + begin * kStep,
                            kTile * kStep, dim_, (end - begin) / kLanes, keys.last - keys.first,
                            grad_query_ + first_query * dim_ + begin, kTile, true});
    }
  }

  void finish_queries(int64_t first) {
    const int64_t num = engine::smaller(kTile, call_.query_len - first);
    transpose(grad_query_ + first * dim_, kTile, dim_, kTile, output_, dim_);
    if (part_.sum == nullptr) {
      preparation_.undo(output_, dim_, call_.query, first, num);
      write_rows(call_, output_, dim_, num, call_.scale, call_.grad_query, part_.batch, part_.head, first);
    } else {
      write_rows(output_, dim_, num, call_.head_dim, 1.0f, part_.sum + first * call_.head_dim, call_.head_dim);
    }
  }

  struct Packed {  // of a tile: the operand with kTile columns, the operand with dim columns
    Number *columns = nullptr, *rows = nullptr;
  };

  const AttentionCall& call_;
  const Part part_;
  const Preparation preparation_;
  const int64_t dim_;
  int64_t num_bytes_;

  // All queries.
  Packed query_, grad_output_;
  float *lse_ = nullptr, *delta_ = nullptr;       // lse in powers of 2; the product of each output with its gradient
  float *grad_query_ = nullptr, *sum_ = nullptr;  // tiles (dim, kTile)
  // A tile of keys.
  Number *keys_ = nullptr, *values_ = nullptr, *turned_keys_ = nullptr;  // (kTile, dim), and (dim, kTile)
  float *grad_key_ = nullptr, *grad_value_ = nullptr;                    // (kTile, dim)
  Number* grad_scores_ = nullptr;                                        // (kTile keys, kTile queries), packed
  // A strip of it.
  float *scores_ = nullptr, *grad_weights_ = nullptr;           // (kGrain, kTile)
  Number *weight_rows_ = nullptr, *grad_score_rows_ = nullptr;  // (kGrain, kTile)
  float (*factors_)[kLanes] = nullptr;                          // (kGrain, 16): what dropout multiplies weights by

  Number* rows_ = nullptr;                                                       // (kTile, dim)
  float *output_ = nullptr, *turned_output_ = nullptr, *turned_grad_ = nullptr;  // (kTile, dim), and (dim, kTile)
};

// grad_query = scale * (sum 0 + sum 1 + ...).
inline void add_sums(const AttentionCall& call, int64_t batch, int64_t head, float* sums, int64_t num_sums) {
  const int64_t size = call.query_len * call.head_dim;
  for (int64_t i = 0; i < size; ++i) {
    float total = sums[i];
    for (int64_t sum = 1; sum < num_sums; ++sum) total += sums[sum * size + i];
    sums[i] = total;
  }
  Preparation(call, batch, head).undo(sums, call.head_dim, call.query, 0, call.query_len);
  write_rows(call, sums, call.head_dim, call.query_len, call.scale, call.grad_query, batch, head, 0);
}

}  // namespace
}  // namespace amt::training
