// Token ids: which range of ids stands for which kind of event. docs/tokens.md is the definition.
#pragma once

#include <cstdint>
#include <vector>

#include "vocabulary_ids.h"

namespace amt::midi {

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
  static constexpr int kPadId = VocabularyIds::kPadId, kBosId = VocabularyIds::kBosId, kEosId = VocabularyIds::kEosId;
  static constexpr int kMaxNumerator = VocabularyIds::kMaxNumerator;
  static constexpr int kNumDenominators = VocabularyIds::kNumDenominators;

  // Throws std::invalid_argument for numbers that TokenizerConfig in amt/midi/config.py would not have.
  explicit Vocabulary(VocabularyConfig config);

  const VocabularyConfig& config() const { return config_; }
  const VocabularyIds& ids() const { return ids_; }
  int size() const { return ids_.size(); }

  int note_on(int pitch) const { return ids_.id(Kind::kNoteOn, pitch); }
  int note_off(int pitch) const { return ids_.id(Kind::kNoteOff, pitch); }
  int time_shift(int steps) const { return ids_.id(Kind::kTimeShift, steps); }
  int velocity(int bin) const { return ids_.id(Kind::kVelocity, bin); }
  // The kinds below exist in the score preset only.
  int program(int program) const { return ids_.id(Kind::kProgram, program); }
  int tempo(int index) const { return ids_.id(Kind::kTempo, index); }
  int time_signature(int index) const { return ids_.id(Kind::kTimeSignature, index); }
  int pedal_off() const { return ids_.id(Kind::kPedalOff, 0); }
  int pedal_on() const { return ids_.id(Kind::kPedalOn, 0); }

  // The kinds below exist in version 2 of the score preset only.
  int section(int index) const { return ids_.id(Kind::kSection, index); }
  int chord(int index) const { return ids_.id(Kind::kChord, index); }
  int bars(int half_bars) const { return ids_.id(Kind::kBars, half_bars); }
  int edit() const { return ids_.id(Kind::kEdit, 0); }
  int hole(int place) const { return ids_.id(Kind::kHole, place); }
  int fill() const { return ids_.id(Kind::kFill, 0); }

  // The event of an id in 0..size()-1.
  Event event(int id) const { return events_[id]; }

  int velocity_holder(int program) const { return ids_.velocity_holder(program); }
  int velocity_bin(int velocity) const { return velocity * config_.num_velocities / 128; }
  int bin_velocity(int bin) const { return (2 * bin + 1) * 128 / (2 * config_.num_velocities); }

  // The bin nearest to a tempo on a logarithmic scale.
  int tempo_index(int64_t us_per_beat) const;
  int tempo_us(int index) const { return tempo_us_[index]; }

  // -1 for a time signature that has no token.
  static int time_signature_index(int numerator, int denominator);
  static int numerator(int index) { return VocabularyIds::numerator(index); }
  static int denominator(int index) { return VocabularyIds::denominator(index); }
  int64_t bar_steps(int index) const { return ids_.bar_steps(index); }

 private:
  VocabularyConfig config_;
  VocabularyIds ids_{};
  std::vector<int> tempo_us_;
  std::vector<Event> events_;  // what ids_ says of each id, at hand
};

}  // namespace amt::midi
