// Token ids: which range of ids stands for which kind of event. docs/tokens.md is the definition.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

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

struct VocabularyConfig {
  bool is_score = true;
  int step_ms = 10;
  int steps_per_beat = 24;
  int max_time_shift = 96;
  int num_velocities = 32;
  int64_t max_gap_steps = 1536;
  std::vector<int> tempos_bpm;  // ascending
  bool holds_velocity_by_program = false;
  bool has_plans_and_edits = false;
};

template <typename Visitor>
void visit_fields(VocabularyConfig& config, Visitor& visit) {
  visit("is_score", config.is_score);
  visit("step_ms", config.step_ms);
  visit("steps_per_beat", config.steps_per_beat);
  visit("max_time_shift", config.max_time_shift);
  visit("num_velocities", config.num_velocities);
  visit("max_gap_steps", config.max_gap_steps);
  visit("tempos_bpm", config.tempos_bpm);
  visit("holds_velocity_by_program", config.holds_velocity_by_program);
  visit("has_plans_and_edits", config.has_plans_and_edits);
}

class Vocabulary {
 public:
  static constexpr int kPadId = 0, kBosId = 1, kEosId = 2;
  static constexpr int kMaxNumerator = 16, kNumDenominators = 5;  // 1, 2, 4, 8, 16

  // Throws std::invalid_argument for numbers that TokenizerConfig in amt/midi/config.py would not have.
  explicit Vocabulary(VocabularyConfig config);

  const VocabularyConfig& config() const { return config_; }
  int size() const { return size_; }

  int note_on(int pitch) const { return 3 + pitch; }
  int note_off(int pitch) const { return 3 + kNumPitches + pitch; }
  int time_shift(int steps) const { return time_shift_ + steps - 1; }
  int velocity(int bin) const { return velocity_ + bin; }
  // The kinds below exist in the score preset only.
  int program(int program) const { return program_ + program; }
  int tempo(int index) const { return tempo_ + index; }
  int time_signature(int index) const { return time_signature_ + index; }
  int pedal_off() const { return pedal_off_; }
  int pedal_on() const { return pedal_off_ + 1; }

  // The kinds below exist in version 2 of the score preset only.
  int section(int index) const { return section_ + index; }
  int chord(int index) const { return chord_ + index; }
  int bars(int half_bars) const { return bars_ + half_bars - 1; }
  int edit() const { return edit_; }
  int hole(int place) const { return hole_ + place; }
  int fill() const { return fill_; }

  // The event of an id in 0..size()-1.
  Event event(int id) const { return events_[id]; }

  // Of what holds a velocity: each program does, or all do together.
  int velocity_holder(int program) const { return config_.holds_velocity_by_program ? program : 0; }
  int velocity_bin(int velocity) const { return velocity * config_.num_velocities / 128; }
  int bin_velocity(int bin) const { return (2 * bin + 1) * 128 / (2 * config_.num_velocities); }

  // The bin nearest to a tempo on a logarithmic scale.
  int tempo_index(int64_t us_per_beat) const;
  int tempo_us(int index) const { return tempo_us_[index]; }

  // -1 for a time signature that has no token.
  static int time_signature_index(int numerator, int denominator);
  static int numerator(int index) { return index / kNumDenominators + 1; }
  static int denominator(int index) { return 1 << (index % kNumDenominators); }
  // How many steps a bar of a time signature has.
  int64_t bar_steps(int index) const {
    return std::max<int64_t>(1, int64_t{4} * config_.steps_per_beat * numerator(index) / denominator(index));
  }

 private:
  VocabularyConfig config_;
  int time_shift_, velocity_, program_, tempo_, time_signature_, pedal_off_, section_, chord_, bars_, edit_, hole_,
      fill_;
  int size_;
  std::vector<int> tempo_us_;
  std::vector<Event> events_;
};

}  // namespace amt::midi
