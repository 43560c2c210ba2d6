// Where music is missing in an edit's context: what its `hole` tokens say. docs/tokens.md, "Edits". Its twin is
// amt/midi/reference/holes.py.
#pragma once

#include <cstdint>
#include <limits>

#include "bits.h"
#include "vocabulary_ids.h"

namespace amt::midi {

constexpr int kMaxHoleTokens = 64;  // what comes beyond is ignored, and the grammar refuses it
enum HolePlace : uint8_t { kHoleBegins, kHoleEnds, kAllBegin, kAllEnd };  // the values of `hole`

// What is missing: some programs, or all.
struct Missing {
  Bits<kNumPrograms> programs;
  bool is_all = false;

  AMT_HD bool has(int program) const { return is_all || programs[program]; }
  AMT_HD bool is_any() const { return is_all || programs.any(); }
  AMT_HD Bits<kNumPrograms> set() const { return is_all ? Bits<kNumPrograms>::all() : programs; }

  AMT_HD void change(int place, int program) {
    if (place >= kAllBegin) {  // that all are missing, or back, ends the holes of single programs
      programs = {};
      is_all = place == kAllBegin;
    } else {
      programs.set(program, place == kHoleBegins);
    }
  }
};

// The holes so far. It can be copied as bytes.
class HoleTrack {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  struct Interval {
    int64_t start, end;
    AMT_HD bool is_there() const { return start < end; }
  };

  // What is missing after the last token.
  AMT_HD const Missing& missing() const { return missing_; }
  AMT_HD bool is_empty() const { return num_changes_ == 0; }

  // Whether a token would say something here.
  AMT_HD bool may_take(int place, int program) const {
    if (num_changes_ >= kMaxHoleTokens) return false;
    switch (place) {
      case kHoleBegins:
        return !missing_.has(program);
      case kHoleEnds:
        return missing_.programs[program];
      case kAllBegin:
        return !missing_.is_all;
      default:
        return missing_.is_all;
    }
  }

  // Returns whether it says something.
  AMT_HD bool take(int64_t step, int place, int program) {
    if (!may_take(place, program)) return false;
    add(step, place, program);
    return true;
  }

  // Ends all holes, as ids that are no canonical sequence may need it.
  AMT_HD void close(int64_t step) {
    if (missing_.is_any()) add(step, kAllEnd, 0);
  }

  AMT_HD Missing missing_at(int64_t step) const {
    Missing missing;
    for (int i = 0; i < num_changes_ && steps_[i] <= step; ++i) missing.change(places_[i], programs_[i]);
    return missing;
  }

  // The first step behind a step at which a hole begins or ends; kNever if none does.
  AMT_HD int64_t next_change(int64_t step) const {
    for (int i = 0; i < num_changes_; ++i) {
      if (steps_[i] > step) return steps_[i];
    }
    return kNever;
  }

  // The first maximal time without a break in holes that begins at `step` or later.
  AMT_HD Interval next_interval(int64_t step) const {
    Missing missing;
    int64_t start = kNever;
    for (int i = 0; i < num_changes_; ++i) {
      missing.change(places_[i], programs_[i]);
      if (steps_[i] < step || (i + 1 < num_changes_ && steps_[i + 1] == steps_[i])) continue;
      if (start == kNever && missing.is_any()) {
        start = steps_[i];
      } else if (start != kNever && !missing.is_any()) {
        return {start, steps_[i]};
      }
    }
    return {0, 0};
  }

  AMT_HD int64_t num_intervals() const {
    int64_t num = 0;
    for (Interval found = next_interval(0); found.is_there(); found = next_interval(found.end)) ++num;
    return num;
  }

 private:
  AMT_HD void add(int64_t step, int place, int program) {
    steps_[num_changes_] = step;
    places_[num_changes_] = static_cast<uint8_t>(place);
    programs_[num_changes_++] = static_cast<uint8_t>(program);
    missing_.change(place, program);
  }

  // Of each change, by step; room for one `close`.
  int64_t steps_[kMaxHoleTokens + 1] = {};
  uint8_t places_[kMaxHoleTokens + 1] = {}, programs_[kMaxHoleTokens + 1] = {};
  int num_changes_ = 0;
  Missing missing_;
};

}  // namespace amt::midi
