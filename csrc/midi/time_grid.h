// Ticks to steps, in integers, rounding half up. docs/tokens.md, "Time".
// Its twin is amt/midi/reference/time_grid.py.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "notes.h"
#include "vocabulary.h"

namespace amt::midi {

class TimeGrid {
 public:
  TimeGrid(const std::vector<Tempo>& sorted_tempos, int32_t ticks_per_beat, const VocabularyConfig& config)
      : is_score_(config.is_score), ticks_per_beat_(ticks_per_beat), steps_per_beat_(config.steps_per_beat) {
    unit_ = is_score_ ? 2 * ticks_per_beat_ : 1000 * config.step_ms * ticks_per_beat_;
    per_unit_ = (1.0 - 0x1p-50) / static_cast<double>(unit_);
    segments_.push_back({0, 500'000, 0});
    for (const Tempo& tempo : sorted_tempos) {
      if (tempo.tick > segments_.back().tick) {
        const Segment& last = segments_.back();
        segments_.push_back({tempo.tick, tempo.us_per_beat, last.time + (tempo.tick - last.tick) * last.us_per_beat});
      } else {
        segments_.back().us_per_beat = tempo.us_per_beat;
      }
    }
    if (!is_score_) return;
    for (const Segment& at : segments_) slowest_us_per_beat_ = std::max(slowest_us_per_beat_, at.us_per_beat);
  }

  int64_t step(int64_t tick) { return floor_div(scaled(tick) + unit_ / 2).quotient; }  // unit_ is even

  // The step of a note's start or end; keeps how far it was moved.
  int64_t step_of_note(int64_t tick) {
    const auto [step, rest] = floor_div(scaled(tick) + unit_ / 2);
    const int64_t moved = std::abs(rest - unit_ / 2);
    if (moved > no_matter_) {
      const int64_t us_per_beat = is_score_ ? segment(tick).us_per_beat : 1;
      most_moved_ = std::max(most_moved_, moved * us_per_beat);
      no_matter_ = most_moved_ / slowest_us_per_beat_;
    }
    return step;
  }

  // The largest distance in microseconds between a note's tick and its step.
  int64_t moved_us_max() const { return most_moved_ / (is_score_ ? steps_per_beat_ * unit_ : ticks_per_beat_); }

 private:
  struct Segment {
    int64_t tick;
    int64_t us_per_beat;
    int64_t time;  // from the start, in microseconds * ticks_per_beat
  };

  struct Division {
    int64_t quotient, rest;
  };

  // value / unit_ by a multiplication, which is one too low at most while the quotient is below 2^49, and a correction.
  Division floor_div(int64_t value) const {
    const auto quotient = static_cast<int64_t>(static_cast<double>(value) * per_unit_);
    const int64_t rest = value - quotient * unit_;
    const bool is_low = rest >= unit_;
    return {quotient + is_low, is_low ? rest - unit_ : rest};
  }

  // A tick in steps of unit_.
  int64_t scaled(int64_t tick) { return is_score_ ? 2 * tick * steps_per_beat_ : time(tick); }

  // The time of a tick in microseconds * ticks_per_beat.
  int64_t time(int64_t tick) {
    const Segment& at = segment(tick);
    return at.time + (tick - at.tick) * at.us_per_beat;
  }

  // The segment that holds a tick; neighbouring ticks are found at once.
  const Segment& segment(int64_t tick) {
    if (segments_.size() == 1) return segments_[0];
    if (tick < segments_[hint_].tick || (hint_ + 1 < segments_.size() && tick >= segments_[hint_ + 1].tick)) {
      const auto after = std::upper_bound(segments_.begin(), segments_.end(), tick,
                                          [](int64_t t, const Segment& s) { return t < s.tick; });
      hint_ = static_cast<size_t>(after - segments_.begin()) - 1;
    }
    return segments_[hint_];
  }

  bool is_score_;
  int64_t ticks_per_beat_, steps_per_beat_, unit_;
  int64_t most_moved_ = 0;           // score: times the tempo
  int64_t slowest_us_per_beat_ = 1;  // performance: 1
  int64_t no_matter_ = 0;            // a way that is not the longest whatever the tempo
  double per_unit_;
  std::vector<Segment> segments_;
  size_t hint_ = 0;
};

}  // namespace amt::midi
