// Its twin is amt/midi/vocabulary.py.
#include "vocabulary.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace amt::midi {
namespace {

void require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return;
  throw std::invalid_argument(std::string(name) + " must be between " + std::to_string(low) + " and " +
                              std::to_string(high) + ", got " + std::to_string(value));
}

// The ranges of TokenizerConfig in amt/midi/config.py, before anything is made of the numbers.
void check(const VocabularyConfig& config) {
  require(config.step_ms >= 1 && 100 % config.step_ms == 0,
          "step_ms must divide 100, got " + std::to_string(config.step_ms));
  check_range("steps_per_beat", config.steps_per_beat, 1, 960);
  check_range("max_time_shift", config.max_time_shift, 1, 4096);
  check_range("max_gap_steps", config.max_gap_steps, 1, 1 << 20);
  check_range("num_velocities", config.num_velocities, 1, 64);
  require(128 % config.num_velocities == 0,
          "num_velocities must divide 128, got " + std::to_string(config.num_velocities));
  check_range("the number of tempos_bpm", static_cast<int64_t>(config.tempos_bpm.size()), 1, 512);
  int last = 3;
  for (const int bpm : config.tempos_bpm) {
    require(bpm > last && bpm <= 1000, "tempos_bpm must ascend from at least 4 to at most 1000, got " +
                                           std::to_string(bpm) + " behind " + std::to_string(last));
    last = bpm;
  }
}

}  // namespace

Vocabulary::Vocabulary(VocabularyConfig config) : config_(std::move(config)) {
  check(config_);
  for (const int bpm : config_.tempos_bpm) tempo_us_.push_back((60'000'000 + bpm / 2) / bpm);
  ids_.is_score = config_.is_score;
  ids_.holds_velocity_by_program = config_.holds_velocity_by_program;
  ids_.has_plans_and_edits = config_.has_plans_and_edits;
  ids_.step_ms = config_.step_ms;
  ids_.steps_per_beat = config_.steps_per_beat;
  ids_.max_time_shift = config_.max_time_shift;
  ids_.num_velocities = config_.num_velocities;
  ids_.max_gap_steps = config_.max_gap_steps;
  const int score = config_.is_score ? 1 : 0, plans = config_.is_score && config_.has_plans_and_edits ? 1 : 0;
  const int num_tempos = static_cast<int>(tempo_us_.size());
  const int counts[kNumKinds] = {
      1,                                         // pad
      1,                                         // bos
      1,                                         // eos
      kNumPitches,                               // note_on
      kNumPitches,                               // note_off
      config_.max_time_shift,                    // time_shift
      config_.num_velocities,                    // velocity
      score * kNumPrograms,                      // program
      score * num_tempos,                        // tempo
      score * kMaxNumerator * kNumDenominators,  // time_signature
      score,                                     // pedal_off
      score,                                     // pedal_on
      plans * kNumSections,                      // section
      plans * kNumChords,                        // chord
      plans * kMaxHalfBars,                      // bars
      plans,                                     // edit
      plans * kNumHolePlaces,                    // hole
      plans,                                     // fill
  };
  for (int kind = 0; kind < kNumKinds; ++kind) ids_.first[kind + 1] = ids_.first[kind] + counts[kind];
  for (int id = 0; id < ids_.size(); ++id) events_.push_back(ids_.event(id));
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
