// Token ids: which range of ids stands for which kind of event, as plain data for host and device. vocabulary.h makes
// it.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace amt::midi {

constexpr int kNumPitches = 128;
constexpr int kDrums = 128;  // the "program" of drum notes
constexpr int kNumPrograms = 129;
constexpr int kNumSections = 15;
constexpr int kNumChords = 97;     // none, then 12 roots times 8 qualities
constexpr int kMaxHalfBars = 32;   // that one chord of a plan lasts
constexpr int kNumHolePlaces = 4;  // where a hole begins and ends: of the program in force, of all

enum class Kind : uint8_t {
  kPad,
  kBos,
  kEos,
  kNoteOn,
  kNoteOff,
  kTimeShift,
  kVelocity,
  kProgram,
  kTempo,
  kTimeSignature,
  kPedalOff,
  kPedalOn,
  kSection,
  kChord,
  kBars,
  kEdit,
  kHole,
  kFill,
};
constexpr int kNumKinds = 18;

struct Event {
  Kind kind;
  int value;  // pitch, steps, bin, program, index; 0 where the kind has no value
};

struct VocabularyIds {
  static constexpr int kPadId = 0, kBosId = 1, kEosId = 2;
  static constexpr int kMaxNumerator = 16, kNumDenominators = 5;  // 1, 2, 4, 8, 16

  int first[kNumKinds + 1];  // the first id of each kind, in the order of Kind; then how many ids there are
  bool is_score, holds_velocity_by_program, has_plans_and_edits;
  int step_ms, steps_per_beat, max_time_shift, num_velocities;
  int64_t max_gap_steps;

  AMT_HD int size() const { return first[kNumKinds]; }
  AMT_HD int first_of(Kind kind) const { return first[static_cast<int>(kind)]; }
  AMT_HD int end_of(Kind kind) const { return first[static_cast<int>(kind) + 1]; }
  // The value that the first id of a kind stands for.
  AMT_HD static int first_value(Kind kind) { return kind == Kind::kTimeShift || kind == Kind::kBars ? 1 : 0; }
  AMT_HD int id(Kind kind, int value) const { return first_of(kind) + value - first_value(kind); }

  // The event of an id in 0..size()-1.
  AMT_HD Event event(int id) const {
    int kind = 0;
    while (id >= first[kind + 1]) ++kind;
    const Kind found = static_cast<Kind>(kind);
    return {found, id - first[kind] + first_value(found)};
  }

  // Of what holds a velocity: each program does, or all do together.
  AMT_HD int velocity_holder(int program) const { return holds_velocity_by_program ? program : 0; }

  AMT_HD static int numerator(int index) { return index / kNumDenominators + 1; }
  AMT_HD static int denominator(int index) { return 1 << (index % kNumDenominators); }
  // How many steps a bar of a time signature has.
  AMT_HD int64_t bar_steps(int index) const {
    return larger<int64_t>(1, int64_t{4} * steps_per_beat * numerator(index) / denominator(index));
  }
};

}  // namespace amt::midi
