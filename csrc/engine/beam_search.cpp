// Its twin is amt/decoding/plain/beam_search.py.
#include "beam_search.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <limits>

namespace amt::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kPlaceholderScore = -1.0e9f;

bool is_better(bool is_real, float score, bool other_is_real, float other_score) {
  return is_real != other_is_real ? is_real : score > other_score;
}

// Sorts a short array by `is_before` and keeps the order of equals. (std::stable_sort allocates.)
template <typename T, typename IsBefore>
void insertion_sort(T* items, int64_t size, IsBefore is_before) {
  for (int64_t i = 1; i < size; ++i) {
    const T item = items[i];
    int64_t place = i;
    for (; place > 0 && is_before(item, items[place - 1]); --place) items[place] = items[place - 1];
    items[place] = item;
  }
}

// length ^ length_penalty: a double, that divides in float32.
float penalty(const SearchOptions& options, int64_t length) {
  return static_cast<float>(std::pow(static_cast<double>(length), options.length_penalty));
}

// Lets the ended ones among the first num_beams continuations compete for the places. other_reason: of those without
// eos.
Finishes take_places(const SearchOptions& options, int64_t num_new_tokens, FinishReason other_reason,
                     BestContinuations& best, BeamState& state) {
  struct Candidate {
    Place place;
    int32_t rank;  // -1: has its place already
  };
  const int64_t num_beams = options.num_rows;
  std::array<Candidate, 2 * kMaxBeams> candidates;
  int64_t size = 0;
  for (; size < num_beams; ++size) candidates[size] = {state.places[size], -1};
  for (int32_t rank = 0; rank < num_beams; ++rank) {
    const Continuation& ended = best[rank];
    if (!ended.has_ended) continue;
    const FinishReason reason = ended.token == options.eos_token_id ? FinishReason::kEos : other_reason;
    const float score = ended.total / penalty(options, num_new_tokens);
    candidates[size++] = {{score, -1, static_cast<int32_t>(num_new_tokens), true, ended.is_real, reason}, rank};
  }
  insertion_sort(candidates.data(), size, [](const Candidate& a, const Candidate& b) {
    return is_better(a.place.is_real, a.place.score, b.place.is_real, b.place.score);
  });

  std::bitset<kMaxBeams> is_slot_taken;
  for (int64_t i = 0; i < num_beams; ++i) {
    if (candidates[i].place.slot >= 0) is_slot_taken[candidates[i].place.slot] = true;
  }
  Finishes finishes;
  int32_t slot = 0;
  for (int64_t i = 0; i < num_beams; ++i) {
    Candidate& candidate = candidates[i];
    if (candidate.place.is_real && candidate.rank >= 0) {
      while (is_slot_taken[slot]) ++slot;
      candidate.place.slot = slot;
      finishes.items[finishes.size++] = {slot++, candidate.rank};
    }
    state.places[i] = candidate.place;
  }
  return finishes;
}

// The best that have not ended run on.
void run_on(int64_t num_beams, BestContinuations& best, BeamState& state) {
  std::array<Beam, 2 * kMaxBeams> beams;
  for (int64_t rank = 0; rank < best.size(); ++rank) {
    const Continuation& item = best[rank];
    const float score = item.has_ended ? item.total + kPlaceholderScore : item.total;
    beams[rank] = {score, item.log_prob, item.beam, item.token, item.is_real && !item.has_ended};
  }
  insertion_sort(beams.data(), best.size(),
                 [](const Beam& a, const Beam& b) { return is_better(a.is_real, a.score, b.is_real, b.score); });
  std::copy_n(beams.begin(), num_beams, state.beams.begin());
}

// Whether the best running score cannot beat the worst finished one, or nothing real runs on.
bool is_over(const SearchOptions& options, int64_t max_new_tokens, int64_t num_new_tokens, const BeamState& state) {
  if (!state.beams[0].is_real) return true;  // real ones come first
  const auto first = state.places.begin(), last = first + options.num_rows;
  const bool is_full = std::all_of(first, last, [](const Place& place) { return place.is_finished; });
  if (is_full && options.early_stopping == EarlyStopping::kTrue) return true;
  const bool is_patient = options.early_stopping == EarlyStopping::kNever && options.length_penalty > 0;
  const float best_running = state.beams[0].score / penalty(options, is_patient ? max_new_tokens : num_new_tokens);
  float worst_finished = kInfinity;
  for (auto place = first; place != last; ++place) worst_finished = std::min(worst_finished, place->score);
  return std::none_of(first, last, [&](const Place& place) {
    return best_running > (place.is_finished ? worst_finished : kPlaceholderScore);
  });
}

constexpr int64_t kBlock = 16;

bool is_any_above(const float* scores, float offset, float bar) {
  int is_any = 0;
  for (int64_t i = 0; i < kBlock; ++i) is_any |= scores[i] + offset > bar;
  return is_any != 0;
}

}  // namespace

void BestContinuations::insert(const Continuation& item) {
  if (!is_full()) ++size_;
  int64_t place = size_ - 1;
  for (; place > 0; --place) {
    const Continuation& other = items_[place - 1];
    if (!is_better(item.is_real, item.total, other.is_real, other.total)) break;
    items_[place] = other;
  }
  items_[place] = item;
}

void BestContinuations::offer(int32_t row, const Beam& beam, const float* scores, const float* log_probs,
                              int64_t vocab_size) {
  const Continuation& last = items_[capacity_ - 1];
  for (int64_t first = 0; first < vocab_size; first += kBlock) {
    const int64_t end = std::min(first + kBlock, vocab_size);
    if (is_full()) {
      // Most blocks hold nothing that could get in; the loop below is for the others.
      if (last.is_real && !beam.is_real) return;
      const bool is_any_welcome = last.is_real || !beam.is_real;
      const float bar = is_any_welcome ? last.total : -kInfinity;
      const float offset = is_any_welcome ? beam.score : 0;
      if (end - first == kBlock && !is_any_above(scores + first, offset, bar)) continue;
    }
    for (int64_t token = first; token < end; ++token) {
      const float total = scores[token] + beam.score;
      const bool is_real = beam.is_real && scores[token] > -kInfinity;
      // Among equals the earlier one stays: rows and tokens come in ascending order.
      if (is_full() && !is_better(is_real, total, last.is_real, last.total)) continue;
      insert({total, log_probs[token], row, static_cast<int32_t>(token), is_real, false});
    }
  }
}

void begin_beams(int64_t num_beams, BeamState& state) {
  state = BeamState{};
  for (int64_t i = 0; i < num_beams; ++i) {
    state.beams[i] = {i == 0 ? 0 : kPlaceholderScore, 0, 0, 0, i == 0};
    state.places[i] = {kPlaceholderScore, -1, 0, false, false, FinishReason::kRunning};
  }
}

Finishes advance_beams(const SearchOptions& options, int64_t max_new_tokens, int64_t num_new_tokens, bool is_last,
                       BestContinuations& best, BeamState& state) {
  bool have_all_ended = true;
  for (int64_t rank = 0; rank < best.size(); ++rank) {
    Continuation& item = best[rank];
    item.has_ended = is_last || item.token == options.eos_token_id || num_new_tokens >= max_new_tokens;
    have_all_ended &= item.has_ended;
  }
  const Finishes finishes =
      take_places(options, num_new_tokens, is_last ? FinishReason::kStopped : FinishReason::kLength, best, state);
  run_on(options.num_rows, best, state);
  state.is_done = have_all_ended || is_over(options, max_new_tokens, num_new_tokens, state);
  return finishes;
}

}  // namespace amt::engine
