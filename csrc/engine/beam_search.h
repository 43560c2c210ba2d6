// Beam search over one prompt, from scores alone: the state of the beams and one step of it. It knows neither the
// tokens before the last one nor models. Its twin is amt/decoding/plain/beam_search.py, whose first lines say what is
// computed.
//
// In short: a step looks at the 2 * num_beams best continuations. Those that have ended (eos or the longest length) and
// rank among the first num_beams compete for num_beams places with sum of scores / new tokens ^ length_penalty; the
// best num_beams others run on. Equal scores go to the lower beam * vocab_size + token, then to the earlier one.
//
// Placeholders fill rows and places for which nothing real exists: all beams but the first at the start, continuations
// with a forbidden token (-inf), a row that has ended. They rank below everything real and are never returned.
#pragma once

#include <cstdint>

#include "search_options.h"
#include "workers.h"

namespace amt::engine {

constexpr int64_t kMaxBeams = 64;
constexpr float kPlaceholderScore = -1.0e9f;

// A running hypothesis: `token` behind what row `parent` of the step before holds.
struct Beam {
  float score;     // sum of scores
  float log_prob;  // of the token, as recorded
  int32_t parent;
  int32_t token;
  bool is_real;
};

// A place of a finished hypothesis.
struct Place {
  float score;       // length penalty included
  int32_t slot;      // where its tokens are kept, 0..num_beams-1; -1 without a hypothesis
  int32_t length;    // in new tokens
  bool is_finished;  // it was taken, maybe by a placeholder
  bool is_real;      // it holds a hypothesis
  FinishReason reason;
};

struct BeamState {
  Beam beams[kMaxBeams];    // the best first
  Place places[kMaxBeams];  // the best first, hypotheses before placeholders
  bool is_done;
};

struct Continuation {
  float total;
  float log_prob;
  int32_t beam;
  int32_t token;
  bool is_real;
  bool has_ended;
};

AMT_HD inline bool is_better(bool is_real, float score, bool other_is_real, float other_score) {
  return is_real != other_is_real ? is_real : score > other_score;
}

// Sorts a short array by `is_before` and keeps the order of equals. (std::stable_sort allocates.)
template <typename T, typename IsBefore>
AMT_HD void insertion_sort(T* items, int64_t size, IsBefore is_before) {
  for (int64_t i = 1; i < size; ++i) {
    const T item = items[i];
    int64_t place = i;
    for (; place > 0 && is_before(item, items[place - 1]); --place) items[place] = items[place - 1];
    items[place] = item;
  }
}

// The best continuations of all that are offered, the best first.
class BestContinuations {
 public:
  AMT_HD void begin(int64_t num_beams) {
    capacity_ = 2 * num_beams;
    size_ = 0;
  }

  // Looks at all tokens of a row. Rows must come in ascending order.
  // scores: (vocab_size), what is summed and compared, -inf where forbidden; log_probs: what is recorded.
  void offer(int32_t row, const Beam& beam, const float* scores, const float* log_probs, int64_t vocab_size) {
    const Continuation& last = items_[capacity_ - 1];
    for (int64_t first = 0; first < vocab_size; first += kBlock) {
      const int64_t end = first + kBlock < vocab_size ? first + kBlock : vocab_size;
      if (is_full()) {
        // Most blocks hold nothing that could get in; the loop below is for the others.
        if (last.is_real && !beam.is_real) return;
        const bool is_any_welcome = last.is_real || !beam.is_real;
        const float bar = is_any_welcome ? last.total : -kInfinity;
        const float offset = is_any_welcome ? beam.score : 0;
        if (end - first == kBlock && !is_any_above(scores + first, offset, bar)) continue;
      }
      for (int64_t token = first; token < end; ++token) {
        const bool is_real = beam.is_real && scores[token] > -kInfinity;
        offer({scores[token] + beam.score, log_probs[token], row, static_cast<int32_t>(token), is_real, false});
      }
    }
  }

  // Whether there was a place for it. Among equals the earlier one stays: rows and tokens come in ascending order.
  AMT_HD bool offer(const Continuation& item) {
    const Continuation& last = items_[capacity_ - 1];
    if (is_full() && !is_better(item.is_real, item.total, last.is_real, last.total)) return false;
    if (!is_full()) ++size_;
    int64_t place = size_ - 1;
    for (; place > 0; --place) {
      const Continuation& other = items_[place - 1];
      if (!is_better(item.is_real, item.total, other.is_real, other.total)) break;
      items_[place] = other;
    }
    items_[place] = item;
    return true;
  }

  AMT_HD int64_t size() const { return size_; }
  AMT_HD Continuation& operator[](int64_t rank) { return items_[rank]; }

 private:
  static constexpr int64_t kBlock = 16;

  static bool is_any_above(const float* scores, float offset, float bar) {
    int is_any = 0;
    for (int64_t i = 0; i < kBlock; ++i) is_any |= scores[i] + offset > bar;
    return is_any != 0;
  }
  AMT_HD bool is_full() const { return size_ == capacity_; }

  int64_t capacity_, size_;
  Continuation items_[2 * kMaxBeams];
};

// A hypothesis that has just taken a place: continuation `rank` goes to `slot`.
struct Finish {
  int32_t slot;
  int32_t rank;
};

struct Finishes {
  int64_t size;
  Finish items[kMaxBeams];
};

// What a step of beam search works with; nothing of it outlives the step.
struct BeamRoom {
  struct Candidate {
    Place place;
    int32_t rank;  // -1: has its place already
  };
  BestContinuations best;
  Finishes finishes;  // the hypotheses whose tokens must be kept now
  Candidate candidates[2 * kMaxBeams];
  Beam beams[2 * kMaxBeams];
};

AMT_HD inline void begin_beams(int64_t num_beams, BeamState& state) {
  state = BeamState{};
  for (int64_t i = 0; i < num_beams; ++i) {
    state.beams[i] = {i == 0 ? 0 : kPlaceholderScore, 0, 0, 0, i == 0};
    state.places[i] = {kPlaceholderScore, -1, 0, false, false, FinishReason::kRunning};
  }
}

// Lets the ended ones among the first num_beams continuations compete for the places. other_reason: of those without
// eos.
AMT_HD inline void take_places(const SearchOptions& options, int64_t num_new_tokens, float penalty,
                               FinishReason other_reason, BeamRoom& room, BeamState& state) {
  const int64_t num_beams = options.num_rows;
  BeamRoom::Candidate* candidates = room.candidates;
  int64_t size = 0;
  for (; size < num_beams; ++size) candidates[size] = {state.places[size], -1};
  for (int32_t rank = 0; rank < num_beams; ++rank) {
    const Continuation& ended = room.best[rank];
    if (!ended.has_ended) continue;
    const FinishReason reason = ended.token == options.eos_token_id ? FinishReason::kEos : other_reason;
    const float score = ended.total / penalty;
    candidates[size++] = {{score, -1, static_cast<int32_t>(num_new_tokens), true, ended.is_real, reason}, rank};
  }
  insertion_sort(candidates, size, [](const BeamRoom::Candidate& a, const BeamRoom::Candidate& b) {
    return is_better(a.place.is_real, a.place.score, b.place.is_real, b.place.score);
  });

  static_assert(kMaxBeams <= 64, "the slots that are taken are the bits of a word");
  uint64_t taken_slots = 0;
  for (int64_t i = 0; i < num_beams; ++i) {
    if (candidates[i].place.slot >= 0) taken_slots |= uint64_t{1} << candidates[i].place.slot;
  }
  room.finishes.size = 0;
  int32_t slot = 0;
  for (int64_t i = 0; i < num_beams; ++i) {
    BeamRoom::Candidate& candidate = candidates[i];
    if (candidate.place.is_real && candidate.rank >= 0) {
      while (taken_slots >> slot & 1) ++slot;
      candidate.place.slot = slot;
      room.finishes.items[room.finishes.size++] = {slot++, candidate.rank};
    }
    state.places[i] = candidate.place;
  }
}

// The best that have not ended run on.
AMT_HD inline void run_on(int64_t num_beams, BeamRoom& room, BeamState& state) {
  for (int64_t rank = 0; rank < room.best.size(); ++rank) {
    const Continuation& item = room.best[rank];
    const float score = item.has_ended ? item.total + kPlaceholderScore : item.total;
    room.beams[rank] = {score, item.log_prob, item.beam, item.token, item.is_real && !item.has_ended};
  }
  insertion_sort(room.beams, room.best.size(),
                 [](const Beam& a, const Beam& b) { return is_better(a.is_real, a.score, b.is_real, b.score); });
  for (int64_t i = 0; i < num_beams; ++i) state.beams[i] = room.beams[i];
}

// Whether the best running score cannot beat the worst finished one, or nothing real runs on.
AMT_HD inline bool is_over(const SearchOptions& options, int64_t max_new_tokens, int64_t num_new_tokens,
                           const float* penalties, const BeamState& state) {
  if (!state.beams[0].is_real) return true;  // real ones come first
  bool is_full = true;
  float worst_finished = kInfinity;
  for (int64_t i = 0; i < options.num_rows; ++i) {
    const Place& place = state.places[i];
    is_full &= place.is_finished;
    worst_finished = place.score < worst_finished ? place.score : worst_finished;
  }
  if (is_full && options.early_stopping == EarlyStopping::kTrue) return true;
  const bool is_patient = options.early_stopping == EarlyStopping::kNever && options.length_penalty > 0;
  const float best_running = state.beams[0].score / penalties[is_patient ? max_new_tokens : num_new_tokens];
  for (int64_t i = 0; i < options.num_rows; ++i) {
    if (best_running > (state.places[i].is_finished ? worst_finished : kPlaceholderScore)) return false;
  }
  return true;
}

// One step from room.best, by one thread. penalties[n]: n ^ length_penalty; num_new_tokens: the length of the
// continuations. is_last: all of them end here.
AMT_APART AMT_HD inline void advance_beams(const SearchOptions& options, int64_t max_new_tokens, int64_t num_new_tokens,
                                           const float* penalties, bool is_last, BeamRoom& room, BeamState& state) {
  bool have_all_ended = true;
  for (int64_t rank = 0; rank < room.best.size(); ++rank) {
    Continuation& item = room.best[rank];
    item.has_ended = is_last || item.token == options.eos_token_id || num_new_tokens >= max_new_tokens;
    have_all_ended &= item.has_ended;
  }
  take_places(options, num_new_tokens, penalties[num_new_tokens],
              is_last ? FinishReason::kStopped : FinishReason::kLength, room, state);
  run_on(options.num_rows, room, state);
  state.is_done = have_all_ended || is_over(options, max_new_tokens, num_new_tokens, penalties, state);
}

}  // namespace amt::engine
