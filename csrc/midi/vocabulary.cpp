// Its twin is amt/midi/vocabulary.py.
#include "vocabulary.h"

#include <stdexcept>
#include <utility>

namespace amt::midi {

Vocabulary::Vocabulary(VocabularyConfig config) : config_(std::move(config)) {
  if (config_.step_ms < 1 || config_.steps_per_beat < 1 || config_.max_time_shift < 1 || config_.max_gap_steps < 1 ||
      config_.num_velocities < 1 || config_.num_velocities > 128 || config_.tempos_bpm.empty()) {
    throw std::invalid_argument("the vocabulary's sizes must be positive, with at most 128 velocities");
  }
  for (int bpm : config_.tempos_bpm) {
    if (bpm < 4) throw std::invalid_argument("tempos_bpm must be at least 4");
    tempo_us_.push_back((60'000'000 + bpm / 2) / bpm);
  }
  auto add = [this](Kind kind, int count, int first = 0) {
    const int start = static_cast<int>(events_.size());
    for (int i = 0; i < count; ++i) events_.push_back({kind, first + i});
    return start;
  };
  const int num_tempos = static_cast<int>(tempo_us_.size());
  add(Kind::kPad, 1);
  add(Kind::kBos, 1);
  add(Kind::kEos, 1);
  add(Kind::kNoteOn, kNumPitches);
  add(Kind::kNoteOff, kNumPitches);
  time_shift_ = add(Kind::kTimeShift, config_.max_time_shift, 1);
  velocity_ = add(Kind::kVelocity, config_.num_velocities);
  program_ = add(Kind::kProgram, config_.is_score ? kNumPrograms : 0);
  tempo_ = add(Kind::kTempo, config_.is_score ? num_tempos : 0);
  time_signature_ = add(Kind::kTimeSignature, config_.is_score ? kMaxNumerator * kNumDenominators : 0);
  pedal_off_ = add(Kind::kPedalOff, config_.is_score ? 1 : 0);
  add(Kind::kPedalOn, config_.is_score ? 1 : 0);
  const bool has_plans = config_.is_score && config_.has_plans_and_edits;
  section_ = add(Kind::kSection, has_plans ? kNumSections : 0);
  chord_ = add(Kind::kChord, has_plans ? kNumChords : 0);
  bars_ = add(Kind::kBars, has_plans ? kMaxHalfBars : 0, 1);
  edit_ = add(Kind::kEdit, has_plans ? 1 : 0);
  hole_ = add(Kind::kHole, has_plans ? kNumHolePlaces : 0);
  fill_ = add(Kind::kFill, has_plans ? 1 : 0);
  size_ = static_cast<int>(events_.size());
}

int Vocabulary::tempo_index(int64_t us_per_beat) const {
  const int last = static_cast<int>(tempo_us_.size()) - 1;
  for (int i = 0; i < last; ++i) {
    if (us_per_beat * us_per_beat >= static_cast<int64_t>(tempo_us_[i]) * tempo_us_[i + 1]) return i;
  }
  return last;
}

int Vocabulary::time_signature_index(int numerator, int denominator) {
  if (numerator < 1 || numerator > kMaxNumerator) return -1;
  for (int power = 0; power < kNumDenominators; ++power) {
    if (denominator == 1 << power) return (numerator - 1) * kNumDenominators + power;
  }
  return -1;
}

}  // namespace amt::midi
