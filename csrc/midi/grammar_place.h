// Where a sequence stands between its beginning and its end: the small part of a grammar state, on which the length of
// the way to the end depends. It can take a token in advance, without the lists that the token would change.
#pragma once

#include <cstdint>

#include "bits.h"
#include "grammar_rules.h"
#include "holes.h"

namespace amt::midi {

// A note that sounds and the step at which it is due, as one number: in order of due, program, pitch.
class TimedNote {
 public:
  TimedNote() = default;
  AMT_HD TimedNote(int64_t due, int program, int pitch)
      : bits_(static_cast<uint64_t>(due) << 16 | static_cast<uint64_t>(program << 8 | pitch)) {}

  AMT_HD int64_t due() const { return static_cast<int64_t>(bits_ >> 16); }
  AMT_HD int program() const { return static_cast<int>(bits_ >> 8 & 0xff); }
  AMT_HD int pitch() const { return static_cast<int>(bits_ & 0xff); }
  AMT_HD bool is_of(int program, int pitch) const {
    return (bits_ & 0xffff) == static_cast<uint64_t>(program << 8 | pitch);
  }
  AMT_HD bool operator<(const TimedNote& other) const { return bits_ < other.bits_; }

 private:
  uint64_t bits_ = 0;
};
// With a longest note, so many notes sound at once at most.
constexpr int kMaxTimedNotes = 256;

// The long part of a grammar state.
struct GrammarLists {
  Bits<kNumPitches> sounding[kNumPrograms];
  TimedNote timed[kMaxTimedNotes];  // with a longest note: what sounds, in order
  int num_timed = 0;
  int8_t velocities[kNumPrograms];  // in force: of each program, or the first for all; -1: none
  HoleTrack holes;
};

class GrammarPlace {
 public:
  // The length of one ending that always works.
  AMT_HD int64_t tokens_to_close(const GrammarLists& lists) const;
  // The same behind an event that may come.
  AMT_HD int64_t tokens_to_close_after(Event event, const GrammarLists& lists) const {
    GrammarPlace next = *this;
    next.go(event, lists);
    return next.tokens_to_close(lists);
  }

 protected:
  enum class Stage : uint8_t { kStart, kTimeSignature, kTempo, kPlan, kBody, kFinished };
  enum class PlanLast : uint8_t { kNothing, kSection, kBars, kChord };
  enum class Last : uint8_t { kEvent, kShift, kLargestShift, kProgram, kVelocity };
  enum Phase : int8_t { kNoPhase = -2, kHole, kOffs, kPedalUp, kPedalDown, kOns };
  // Which part of an edit this is, if it is one.
  enum class Edit : uint8_t { kNone, kContext, kFill };

  AMT_HD explicit GrammarPlace(const GrammarRules& rules) : rules_(&rules), program_(rules.ids.is_score ? -1 : 0) {}

  AMT_HD const VocabularyIds& ids() const { return rules_->ids; }
  // What holds here.
  AMT_HD const GrammarLimits& limits() const { return is_in_context() ? rules_->context : rules_->music; }
  AMT_HD bool is_score() const { return ids().is_score; }
  AMT_HD bool is_past_header() const { return stage_ == Stage::kPlan || stage_ == Stage::kBody; }
  AMT_HD bool is_dangling() const { return last_ == Last::kProgram || last_ == Last::kVelocity; }
  AMT_HD bool is_after_shift() const { return last_ == Last::kShift || last_ == Last::kLargestShift; }
  AMT_HD bool is_in_context() const { return edit_ == Edit::kContext; }
  AMT_HD bool is_in_fill() const { return edit_ == Edit::kFill; }

  AMT_HD Bits<kNumPrograms> open_programs() const { return has_notes_ | has_pedal_; }
  AMT_HD bool is_open(int program) const { return has_notes_[program] || has_pedal_[program]; }
  AMT_HD bool is_any_open() const { return open_programs().any(); }
  AMT_HD bool is_any_open_below(int program) const { return open_programs().any_below(program); }
  AMT_HD bool can_close_now(const GrammarLists& lists) const;

  // Takes an event that may come. The lists are those before it.
  AMT_HD void go(Event event, const GrammarLists& lists);

  AMT_HD static bool is_of_plan(Kind kind) {
    return kind == Kind::kSection || kind == Kind::kBars || kind == Kind::kChord;
  }
  AMT_HD bool is_plan_allowed(Event event) const;
  // Whether a chord may last so long here, so that the plan can go on behind it.
  AMT_HD bool may_last(int half_bars) const;
  // Whether nothing but a section may follow: here, and after a chord that ends at a half bar.
  AMT_HD bool needs_section() const {
    return plan_chord_ >= 0 && needs_section_after(plan_chord_, plan_chord_half_bars_, plan_at_);
  }
  AMT_HD bool needs_section_after(int chord, int half_bars, int half_bar) const;
  AMT_HD bool may_end_plan() const;
  AMT_HD int64_t tokens_to_end_plan() const;
  AMT_HD void go_on_with_plan(Event event);

  const GrammarRules* rules_;
  Bits<kNumPrograms> has_notes_, has_pedal_;  // which programs do
  int64_t now_ = 0;
  int64_t num_sounding_ = 0;
  int64_t fill_end_ = 0;        // of the part that is being filled
  int64_t num_parts_left_ = 0;  // that are to be filled after it
  int program_;
  int group_ = -1, last_pitch_ = -1;
  int plan_at_ = 0, plan_half_bars_ = 0;            // how long the plan is; what a chord lasts, or 0
  int plan_chord_ = -1, plan_chord_half_bars_ = 0;  // the last one of this section, or -1
  Stage stage_ = Stage::kStart;
  Last last_ = Last::kEvent;
  Phase phase_ = kNoPhase;
  Edit edit_ = Edit::kNone;
  PlanLast plan_last_ = PlanLast::kNothing;
};

// Whether all that is open can still be closed at this step, by ascending program and pitch.
AMT_HD inline bool GrammarPlace::can_close_now(const GrammarLists& lists) const {
  if (group_ < 0) return true;
  if (is_any_open_below(group_)) return false;
  if (!is_open(group_)) return true;
  // The pitch of the last note_off does not count, be it in the list or not.
  return phase_ < kOffs || (phase_ == kOffs && !lists.sounding[group_].any_below(last_pitch_));
}

AMT_HD inline int64_t GrammarPlace::tokens_to_close(const GrammarLists& lists) const {
  if (stage_ == Stage::kFinished) return 0;
  if (stage_ == Stage::kPlan) return tokens_to_end_plan() + 1;
  if (stage_ != Stage::kBody) {
    const int header = stage_ == Stage::kTempo ? 1 : stage_ == Stage::kTimeSignature ? 2 : is_score() ? 3 : 1;
    return header + tokens_to_end_plan() + 1;
  }
  const Bits<kNumPrograms> open = open_programs();
  int64_t note = 0;
  if (last_ == Last::kVelocity) note = 3;
  if (last_ == Last::kProgram && !is_open(program_)) note = 4;
  if (is_after_shift() && !open.any()) note = 5;
  const bool needs_shift = note > 0 || !can_close_now(lists);
  // Each open program is named, but for the one that is being played.
  const bool is_named = !needs_shift && group_ >= 0 && is_open(group_);
  // What is due ends before the shift: its programs may have to be named once more behind it.
  int64_t named_twice = 0;
  if (needs_shift) {
    Bits<kNumPrograms> due;
    for (int i = 0; i < lists.num_timed && lists.timed[i].due() <= now_; ++i) due.set(lists.timed[i].program());
    if (group_ >= 0) due.set(group_, false);
    named_twice = due.count();
  }
  return note + needs_shift + 1 + num_sounding_ + has_pedal_.count() + open.count() - is_named + named_twice +
         num_parts_left_;
}

AMT_HD inline void GrammarPlace::go(Event event, const GrammarLists& lists) {
  const auto enter = [this](Phase phase) {
    group_ = program_;
    phase_ = phase;
  };
  if (is_of_plan(event.kind)) {
    go_on_with_plan(event);
    return;
  }
  if (stage_ == Stage::kPlan) stage_ = Stage::kBody;
  last_ = Last::kEvent;
  switch (event.kind) {
    case Kind::kPad:
    case Kind::kSection:
    case Kind::kChord:
    case Kind::kBars:
      break;
    case Kind::kBos:
      stage_ = is_score() ? Stage::kTimeSignature : Stage::kBody;
      break;
    case Kind::kEos:
      stage_ = Stage::kFinished;
      break;
    case Kind::kNoteOn:
      enter(kOns);
      last_pitch_ = event.value;
      if (program_ == kDrums) break;  // they never sound
      has_notes_.set(program_);
      ++num_sounding_;
      break;
    case Kind::kNoteOff: {
      enter(kOffs);
      last_pitch_ = event.value;
      Bits<kNumPitches> others = lists.sounding[program_];
      others.set(event.value, false);
      has_notes_.set(program_, others.any());
      --num_sounding_;
      break;
    }
    case Kind::kTimeShift:
      last_ = event.value == ids().max_time_shift ? Last::kLargestShift : Last::kShift;
      now_ += event.value;
      group_ = -1;
      phase_ = kNoPhase;
      break;
    case Kind::kVelocity:
      // The group has begun: only its note_on may follow.
      last_ = Last::kVelocity;
      if (group_ != program_) enter(kPedalDown);
      break;
    case Kind::kProgram:
      last_ = Last::kProgram;
      program_ = event.value;
      enter(kNoPhase);
      break;
    case Kind::kTempo:
      if (stage_ == Stage::kTempo) stage_ = ids().has_plans_and_edits ? Stage::kPlan : Stage::kBody;
      break;
    case Kind::kTimeSignature:
      if (stage_ == Stage::kTimeSignature) stage_ = Stage::kTempo;
      break;
    case Kind::kPedalOff:
      enter(kPedalUp);
      has_pedal_.set(program_, false);
      break;
    case Kind::kPedalOn:
      enter(kPedalDown);
      has_pedal_.set(program_);
      break;
    case Kind::kEdit:
      edit_ = Edit::kContext;
      break;
    case Kind::kHole:
      if (event.value < kAllBegin) enter(kHole);
      break;
    case Kind::kFill: {
      // Goes to where the next part begins; as at a beginning, no program is in force.
      if (is_in_context()) {
        edit_ = Edit::kFill;
        num_parts_left_ = lists.holes.num_intervals();
        fill_end_ = 0;
      }
      const HoleTrack::Interval part = lists.holes.next_interval(fill_end_);
      --num_parts_left_;
      now_ = part.start;
      fill_end_ = part.end;
      group_ = program_ = -1;
      phase_ = kNoPhase;
      break;
    }
  }
}

}  // namespace amt::midi

#include "grammar_plan.h"
