// Beam search over one prompt, from scores alone: the state of the beams and one step of it. It knows neither the
// tokens before the last one nor models. Must equal amt/decoding/plain/beam_search.py, whose first lines say what is
// computed.
//
// In short: a step looks at the 2 * num_beams best continuations. Those that have ended (eos or the longest length) and
// rank among the first num_beams compete for num_beams places with sum of scores / new tokens ^ length_penalty; the
// best num_beams others run on. Equal scores go to the lower beam * vocab_size + token, then to the earlier one.
//
// Placeholders fill rows and places for which nothing real exists: all beams but the first at the start, continuations
// with a forbidden token (-inf), a row that has ended. They rank below everything real and are never returned.
#pragma once

#include <array>
#include <cstdint>

#include "search_options.h"

namespace amt::engine {

constexpr int64_t kMaxBeams = 64;

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
  std::array<Beam, kMaxBeams> beams;    // the best first
  std::array<Place, kMaxBeams> places;  // the best first, hypotheses before placeholders
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

// The best continuations of all that are offered, the best first.
class BestContinuations {
 public:
  explicit BestContinuations(int64_t num_beams) : capacity_(2 * num_beams) {}

  // Looks at all tokens of a row. Rows must come in ascending order.
  // scores: (vocab_size), what is summed and compared, -inf where forbidden; log_probs: what is recorded.
  void offer(int32_t row, const Beam& beam, const float* scores, const float* log_probs, int64_t vocab_size);

  int64_t size() const { return size_; }
  Continuation& operator[](int64_t rank) { return items_[static_cast<size_t>(rank)]; }

 private:
  void insert(const Continuation& item);
  bool is_full() const { return size_ == capacity_; }

  int64_t capacity_, size_ = 0;
  std::array<Continuation, 2 * kMaxBeams> items_;
};

// A hypothesis that has just taken a place: continuation `rank` goes to `slot`.
struct Finish {
  int32_t slot;
  int32_t rank;
};

struct Finishes {
  int64_t size = 0;
  std::array<Finish, kMaxBeams> items;
};

void begin_beams(int64_t num_beams, BeamState& state);

// One step. num_new_tokens: the length of the continuations. is_last: all of them end here. Returns the hypotheses
// whose tokens must be kept now.
Finishes advance_beams(const SearchOptions& options, int64_t max_new_tokens, int64_t num_new_tokens, bool is_last,
                       BestContinuations& best, BeamState& state);

}  // namespace amt::engine
