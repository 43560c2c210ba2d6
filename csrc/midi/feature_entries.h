// What a model reads of a track: its features as entries, by ascending column.
#pragma once

#include "feature_track.h"

namespace amt::midi {

// 1: none, 2..17: 1 to 16; then two to each doubling: 17 to 24, 25 to 32, 33 to 48, ..., 129 and more. 0 is unknown.
AMT_HD inline int FeatureTrack::left_column(int64_t bars) {
  if (bars <= 0) return 1;
  if (bars <= 16) return static_cast<int>(bars) + 1;
  int column = 18;
  for (int64_t limit = 32; bars > limit && column + 2 < FeatureRules::kNumBarsLeft; limit *= 2) column += 2;
  const int64_t half = int64_t{24} << ((column - 18) / 2);
  return smaller(column + (bars > half ? 1 : 0), FeatureRules::kNumBarsLeft - 1);
}

AMT_HD inline FeatureEntry* FeatureTrack::write(FeatureEntry* out) const {
  out = write_place(out);
  out = write_programs(out);
  out = write_pitches(out);
  return write_plan(out);
}

// The features of which exactly one column counts.
AMT_HD inline FeatureEntry* FeatureTrack::write_place(FeatureEntry* out) const {
  const int64_t steps_per_beat = rules_->ids.steps_per_beat;
  const auto add = [&](Feature feature, int64_t column) {
    const int first = rules_->first_of(feature);
    if (first >= 0) *out++ = {static_cast<int16_t>(first + column), 1};
  };
  const auto below = [](int64_t number, int64_t num) { return smaller(number, num - 1); };
  add(Feature::kStepInBeat, time_.step_in_bar % steps_per_beat);
  add(Feature::kBeatInBar, below(time_.step_in_bar / steps_per_beat, FeatureRules::kNumBeats));
  add(Feature::kMetre, metre_);
  add(Feature::kBar, below(shown_bar(), FeatureRules::kNumBars));
  add(Feature::kBarsLeft, num_bars_ <= 0 ? 0 : left_column(num_bars_ - shown_bar()));
  add(Feature::kProgram, program_);
  add(Feature::kVelocity, velocity_);
  add(Feature::kNumSounding, below(num_sounding_, FeatureRules::kNumCounts));
  return out;
}

AMT_HD inline FeatureEntry* FeatureTrack::write_programs(FeatureEntry* out) const {
  const int notes = rules_->first_of(Feature::kProgramNotes), ages = rules_->first_of(Feature::kProgramAges);
  for (int turn = 0; turn < 2; ++turn) {
    const int first = turn == 0 ? notes : ages;
    if (first < 0) continue;
    for (int64_t note = 0; note < num_sounding_;) {
      const int program = sounding_[note].program();
      int16_t num_notes = 0;
      int64_t oldest = sounding_[note].start();
      for (; note < num_sounding_ && sounding_[note].program() == program; ++note, ++num_notes) {
        oldest = smaller(oldest, sounding_[note].start());
      }
      *out++ = {static_cast<int16_t>(first + program), turn == 0 ? num_notes : age(oldest)};
    }
  }
  const int heard = rules_->first_of(Feature::kProgramsHeard);
  if (heard < 0) return out;
  for (int program = heard_.next(0); program < kNumPrograms; program = heard_.next(program + 1)) {
    *out++ = {static_cast<int16_t>(heard + program), age(last_note_on_[program])};
  }
  return out;
}

AMT_HD inline FeatureEntry* FeatureTrack::write_pitches(FeatureEntry* out) const {
  const SoundingKey first_key = own_program() * kNumPitches;
  const int64_t begin = find(sounding_, num_sounding_, first_key);
  const int64_t end = begin + find(sounding_ + begin, num_sounding_ - begin, first_key + kNumPitches);
  const int pitches = rules_->first_of(Feature::kOwnPitches), ages = rules_->first_of(Feature::kOwnAges);
  for (int64_t note = begin; pitches >= 0 && note < end; ++note) {
    *out++ = {static_cast<int16_t>(pitches + sounding_[note].pitch()), 1};
  }
  for (int64_t note = begin; ages >= 0 && note < end; ++note) {
    *out++ = {static_cast<int16_t>(ages + sounding_[note].pitch()), age(sounding_[note].start())};
  }
  const int all = rules_->first_of(Feature::kPitches);
  if (all < 0) return out;
  for (int pitch = pitches_.next(0); pitch < kNumPitches; pitch = pitches_.next(pitch + 1)) {
    *out++ = {static_cast<int16_t>(all + pitch), static_cast<int16_t>(pitch_counts_[pitch])};
  }
  return out;
}

AMT_HD inline FeatureEntry* FeatureTrack::write_plan(FeatureEntry* out) const {
  int section = kNumSections, chord = kNumChords, next_chord = kNumChords, left = 0;
  if (!has_begun_) {
    section = section_;
    if (num_planned_ > 0) chord = plan_[num_planned_ - 1].chord;
  } else if (place_ < num_planned_) {
    section = plan_[place_].section;
    chord = plan_[place_].chord;
    if (place_ + 1 < num_planned_) next_chord = plan_[place_ + 1].chord;
    left = left_column((section_end_ - half_bar() + 1) / 2);
  }
  const auto add = [&](Feature feature, int column) {
    const int first = rules_->first_of(feature);
    if (first >= 0) *out++ = {static_cast<int16_t>(first + column), 1};
  };
  add(Feature::kSection, section);
  add(Feature::kChord, chord);
  add(Feature::kNextChord, next_chord);
  add(Feature::kSectionLeft, left);
  return out;
}

}  // namespace amt::midi
