// Where music is missing in an edit's context: what its `hole` tokens say. docs/tokens.md, "Edits". Its twin is
// amt/midi/reference/holes.py.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <limits>

#include "vocabulary.h"

namespace amt::midi {

constexpr int kMaxHoleTokens = 64;  // what comes beyond is ignored, and the grammar refuses it
enum HolePlace : uint8_t { kHoleBegins, kHoleEnds, kAllBegin, kAllEnd };  // the values of `hole`

// What is missing: some programs, or all.
struct Missing {
  std::bitset<kNumPrograms> programs;
  bool is_all = false;

  bool has(int program) const { return is_all || programs[program]; }
  bool is_any() const { return is_all || programs.any(); }
  std::bitset<kNumPrograms> set() const { return is_all ? std::bitset<kNumPrograms>().set() : programs; }

  void change(int place, int program) {
    if (place >= kAllBegin) {  // that all are missing, or back, ends the holes of single programs
      programs.reset();
      is_all = place == kAllBegin;
    } else {
      programs[program] = place == kHoleBegins;
    }
  }
};

// The holes so far. It can be copied as bytes.
class HoleTrack {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  struct Interval {
    int64_t start, end;
    bool is_there() const { return start < end; }
  };

  // What is missing after the last token.
  const Missing& missing() const { return missing_; }
  bool is_empty() const { return num_changes_ == 0; }

  // Whether a token would say something here.
  bool may_take(int place, int program) const {
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
  bool take(int64_t step, int place, int program) {
    if (!may_take(place, program)) return false;
    add(step, place, program);
    return true;
  }

  // Ends all holes, as ids that are no canonical sequence may need it.
  void close(int64_t step) {
    if (missing_.is_any()) add(step, kAllEnd, 0);
  }

  Missing missing_at(int64_t step) const {
    Missing missing;
    for (int i = 0; i < num_changes_ && changes_[i].step <= step; ++i) {
      missing.change(changes_[i].place, changes_[i].program);
    }
    return missing;
  }

  // The first step behind a step at which a hole begins or ends; kNever if none does.
  int64_t next_change(int64_t step) const {
    for (int i = 0; i < num_changes_; ++i) {
      if (changes_[i].step > step) return changes_[i].step;
    }
    return kNever;
  }

  // The first maximal time without a break in holes that begins at `step` or later.
  Interval next_interval(int64_t step) const {
    Missing missing;
    int64_t start = kNever;
    for (int i = 0; i < num_changes_; ++i) {
      const Change& change = changes_[i];
      missing.change(change.place, change.program);
      if (change.step < step || (i + 1 < num_changes_ && changes_[i + 1].step == change.step)) continue;
      if (start == kNever && missing.is_any()) {
        start = change.step;
      } else if (start != kNever && !missing.is_any()) {
        return {start, change.step};
      }
    }
    return {0, 0};
  }

  int64_t num_intervals() const {
    int64_t num = 0;
    for (Interval found = next_interval(0); found.is_there(); found = next_interval(found.end)) ++num;
    return num;
  }

 private:
  struct Change {
    int64_t step;
    uint8_t place, program;
  };

  void add(int64_t step, int place, int program) {
    changes_[num_changes_++] = {step, static_cast<uint8_t>(place), static_cast<uint8_t>(program)};
    missing_.change(place, program);
  }

  std::array<Change, kMaxHoleTokens + 1> changes_{};  // by step; room for one `close`
  int num_changes_ = 0;
  Missing missing_;
};

}  // namespace amt::midi
