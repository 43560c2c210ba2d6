// Which keys the queries of a tile may attend to, in spans of whole grains, and lane by lane where a span is not whole.
#pragma once

#include "lanes.h"

namespace amt::training {
namespace {

struct Span {
  int64_t first, last;  // half open
  bool is_empty() const { return first >= last; }
  bool operator==(const Span& other) const { return first == other.first && last == other.last; }
};

inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// The part of [first, last) that lies in the tile that begins at `tile`, relative to it, in whole grains.
inline Span in_tile(int64_t first, int64_t last, int64_t tile, int64_t grain) {
  first = larger(first - tile, 0) / grain * grain;
  last = engine::smaller(round_up(larger(last - tile, 0), grain), kTile);
  return {first, last};
}

// What one row of the batch may see.
struct Visible {
  int64_t query_end, key_begin,
      key_end;  // queries from query_end on, and keys outside key_begin .. key_end see nothing
  int64_t offset, window;
  bool is_causal;
  const uint8_t* key_mask;  // or nullptr

  Visible(const AttentionCall& call, int64_t batch)
      : query_end(call.query_len),
        key_begin(0),
        key_end(call.key_len),
        offset(call.offset()),
        window(call.window),
        is_causal(call.is_causal),
        key_mask(call.key_mask == nullptr ? nullptr : call.key_mask + batch * call.key_len) {
    if (call.query_lengths != nullptr) query_end = clipped(call.query_lengths[batch], query_end);
    if (call.key_lengths != nullptr) key_end = clipped(call.key_lengths[batch], key_end);
    if (key_mask != nullptr) {
      while (key_end > 0 && key_mask[key_end - 1] == 0) --key_end;
      while (key_begin < key_end && key_mask[key_begin] == 0) ++key_begin;
    }
  }

  // Keys that some query of first .. last - 1 sees; queries that see some key of first .. last - 1.
  Span keys_of(int64_t first, int64_t last) const {
    last = engine::smaller(last, query_end);
    if (first >= last) return {0, 0};
    return {window > 0 ? larger(key_begin, first + offset - window + 1) : key_begin,
            is_causal ? engine::smaller(key_end, last + offset) : key_end};
  }
  Span queries_of(int64_t first, int64_t last) const {
    if (last <= key_begin || first >= key_end) return {0, 0};
    return {is_causal ? larger(0, first - offset) : 0,
            window > 0 ? engine::smaller(query_end, last - 1 - offset + window) : query_end};
  }

  // Whether every query of a span sees every key of the other.
  bool is_all(Span queries, Span keys) const {
    if (keys.last > key_end || keys.first < key_begin) return false;
    if (is_causal && keys.last - 1 > queries.first + offset) return false;
    if (window > 0 && keys.first <= queries.last - 1 + offset - window) return false;
    if (key_mask != nullptr) {
      for (int64_t key = keys.first; key < keys.last; ++key) {
        if (key_mask[key] == 0) return false;
      }
    }
    return true;
  }

  // The scores of `key` with the 16 queries from first_query on, -inf where they may not meet.
  Vec hidden(Vec scores, int64_t key, int64_t first_query) const {
    if (key < key_begin || key >= key_end || (key_mask != nullptr && key_mask[key] == 0)) return set1(-kInfinity);
    if (!is_causal) return scores;
    // Lane i sees the key if begin <= i, and i < begin + window.
    const int64_t begin = key - offset - first_query;
    scores = scores + load(kEdge + kLanes - within_lanes(begin));
    return window > 0 ? scores + load(kOtherEdge + kLanes - within_lanes(begin + window)) : scores;
  }

 private:
  static int64_t clipped(int64_t length, int64_t most) { return engine::smaller(larger(length, 0), most); }
  static int64_t within_lanes(int64_t lane) { return engine::smaller(larger(lane, 0), kLanes); }

  static constexpr float kNo = -kInfinity;
  // -inf in the lanes below `edge`, and from it on, if loaded from place 16 - edge.
  static constexpr float kEdge[32] = {kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo};
  static constexpr float kOtherEdge[32] = {0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
                                           0,   0,   0,   0,   0,   kNo, kNo, kNo, kNo, kNo, kNo,
                                           kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo, kNo};
};

}  // namespace
}  // namespace amt::training
