// Its twin is amt/midi/reference/grammar.py.
#include "grammar.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace amt::midi {

namespace {

void require(bool is_kept, const char* message) {
  if (!is_kept) throw std::invalid_argument(message);
}

template <size_t size>
Bits<static_cast<int>(size)> bits_of(const std::bitset<size>& given) {
  Bits<static_cast<int>(size)> bits;
  for (size_t number = 0; number < size; ++number) bits.set(static_cast<int>(number), given[number]);
  return bits;
}

Bits<kNumPitches> playable_by(int program, const Constraints& given) {
  const int low = given.min_pitch.empty() ? 0 : given.min_pitch[program];
  const int high = given.max_pitch.empty() ? kNumPitches - 1 : given.max_pitch[program];
  Bits<kNumPitches> pitches;
  for (int pitch = std::max(0, low); pitch <= std::min(high, kNumPitches - 1); ++pitch) {
    pitches.set(pitch, program == kDrums || given.pitch_classes[pitch % 12]);
  }
  return pitches;
}

// Constraints that have been checked.
GrammarLimits limits_of(const Constraints& given) {
  GrammarLimits limits{};
  limits.max_polyphony = given.max_polyphony;
  limits.max_programs = given.max_programs;
  limits.max_top_run = given.max_top_run;
  limits.min_steps = given.min_steps;
  limits.max_steps = given.max_steps;
  limits.min_us = given.min_us;
  limits.max_us = given.max_us;
  limits.min_bars = given.min_bars;
  limits.max_bars = given.max_bars;
  limits.max_rest_steps = given.max_rest_steps;
  limits.max_filler_tokens = given.max_filler_tokens;
  limits.entry_by_step = given.entry_by_step;
  limits.min_tempo = given.tempo_index >= 0 ? given.tempo_index : given.tempo_min_index;
  limits.max_tempo = given.tempo_index >= 0 ? given.tempo_index : given.tempo_max_index;
  limits.time_signature = given.time_signature_index;
  limits.whole_bars = given.whole_bars;
  limits.limits_notes = !given.max_note_steps.empty();
  limits.limits_rests = given.max_rest_steps < kUnlimited || given.max_filler_tokens < kUnlimited;
  limits.has_demands = limits.limits_rests || given.required_programs.any() || given.min_steps > 0 ||
                       given.min_us > 0 || given.min_bars > 0;
  limits.programs = bits_of(given.programs);
  limits.required_programs = bits_of(given.required_programs);
  for (int program = 0; program < kNumPrograms; ++program) {
    limits.playable[program] = playable_by(program, given);
    limits.longest_note[program] = limits.limits_notes ? given.max_note_steps[program] : kUnlimited;
    const int64_t voices = given.max_voices.empty() ? kNumPitches : given.max_voices[program];
    limits.max_voices[program] = static_cast<uint8_t>(std::min<int64_t>(voices, kNumPitches));
  }
  return limits;
}

}  // namespace

Grammar::Grammar(Vocabulary vocabulary, Constraints constraints)
    : vocabulary_(std::move(vocabulary)), constraints_(std::move(constraints)) {
  Constraints& given = constraints_;
  if (!vocabulary_.config().is_score) given.programs &= std::bitset<kNumPrograms>(1);
  require(given.programs.any(), "programs leaves no instrument to play");
  require(given.pitch_classes.any(), "pitch_classes leaves no pitch to play");
  require(given.max_polyphony >= 1, "max_polyphony must be at least 1");
  require(given.max_voices.empty() || given.max_voices.size() == kNumPrograms, "max_voices must have 129 numbers");
  require(given.max_top_run >= 1, "max_top_run must be at least 1");
  for (const int64_t voices : given.max_voices) require(voices >= 1, "max_voices must be at least 1");
  if (given.max_note_steps.size() == 1) given.max_note_steps.resize(kNumPrograms, given.max_note_steps[0]);
  require(given.max_note_steps.empty() || given.max_note_steps.size() == kNumPrograms,
          "max_note_steps must have 1 or 129 numbers");
  for (const int64_t steps : given.max_note_steps) {
    require(steps >= 1 && steps <= Constraints::kUnlimited, "max_note_steps must be between 1 and 2^40");
  }
  require(given.max_steps >= 1, "max_steps must be at least 1");
  require(given.max_us >= 1 && given.max_us <= Constraints::kUnlimited, "max_us must be between 1 and 2^40");
  require(given.max_rest_steps >= 1, "max_rest_steps must be at least 1");
  require(given.max_filler_tokens >= 1, "max_filler_tokens must be at least 1");
  require(given.max_programs >= 1, "max_programs must be at least 1");
  require(given.min_steps <= given.max_steps, "min_steps is above max_steps");
  require(given.min_us <= given.max_us, "min_us is above max_us");
  require(given.max_bars >= 1 && given.max_bars <= Constraints::kUnlimited, "max_bars must be between 1 and 2^40");
  require(given.min_bars <= given.max_bars, "min_bars is above max_bars");
  const int num_tempos = static_cast<int>(vocabulary_.config().tempos_bpm.size());
  const int min_tempo = given.tempo_index >= 0 ? given.tempo_index : given.tempo_min_index;
  require(given.tempo_index >= 0 || min_tempo <= given.tempo_max_index, "tempo_min_index is above tempo_max_index");
  require(!vocabulary_.config().is_score || min_tempo < num_tempos,
          "tempo_min_index is above the tempos that there are");
  for (const std::vector<int>* pitches : {&given.min_pitch, &given.max_pitch}) {
    require(pitches->empty() || pitches->size() == kNumPrograms, "min_pitch and max_pitch must have 129 numbers");
  }
  for (int program = 0; program < kNumPrograms; ++program) {
    if (!playable_by(program, given).any()) given.programs[program] = false;
  }
  require(given.programs.any(), "min_pitch, max_pitch and pitch_classes leave no pitch to play");
  require((given.required_programs & ~given.programs).none(), "a program of required_programs has nothing to play");
  require(static_cast<int64_t>(given.required_programs.count()) <= given.max_programs,
          "required_programs are more than max_programs");
  if (!given.max_note_steps.empty()) {
    given.max_polyphony = std::min<int64_t>(given.max_polyphony, kMaxTimedNotes);
  }
  const VocabularyConfig& config = vocabulary_.config();
  rules_.ids = vocabulary_.ids();
  rules_.music = limits_of(given);
  rules_.context = limits_of({});
  rules_.us_scale = config.is_score ? config.steps_per_beat : 1;
  for (int tempo = 0; tempo < num_tempos; ++tempo) rules_.tempo_us[tempo] = vocabulary_.tempo_us(tempo);
  rules_.slowest_step_us = config.is_score ? rules_.tempo_us[min_tempo] : int64_t{1000} * config.step_ms;
  survey_plan();
}

void Grammar::survey_plan() {
  const std::vector<int>&sections = constraints_.plan_sections, &chords = constraints_.plan_chords;
  const int longest = constraints_.max_plan_half_bars;
  require(0 <= longest && longest <= kMaxPlanHalfBars, "max_plan_half_bars must be between 0 and 1024");
  rules_.plan_half_bars = longest;
  rules_.gives_sections = !sections.empty();
  rules_.gives_chords = !chords.empty();
  if (!rules_.is_plan_given()) return;
  require(vocabulary_.config().has_plans_and_edits, "plan_sections and plan_chords need a vocabulary with plans");
  require(sections.empty() || chords.empty() || sections.size() == chords.size(),
          "plan_sections and plan_chords must have the same number of half bars");
  const size_t size = std::max(sections.size(), chords.size());
  require(size <= static_cast<size_t>(longest), "plan_sections and plan_chords have more than max_plan_half_bars");
  require(sections.empty() || sections[0] != PlanChord::kSameSection, "plan_sections must begin with a section");
  for (const int section : sections) require(-1 <= section && section < kNumSections, "plan_sections has no section");
  for (const int chord : chords) require(0 <= chord && chord < kNumChords, "plan_chords has no chord");
  for (size_t at = 0; at < sections.size(); ++at) rules_.sections[at] = static_cast<int8_t>(sections[at]);
  for (size_t at = 0; at < chords.size(); ++at) rules_.chords[at] = static_cast<int8_t>(chords[at]);
  const int end = rules_.plan_half_bars = static_cast<int>(size);
  for (int at = end - 1; at >= 0; --at) {
    const bool breaks = at + 1 == end || rules_.has_given_section(at + 1) ||
                        (rules_.gives_chords && rules_.chords[at + 1] != rules_.chords[at]);
    rules_.stretch_ends[at] = breaks ? static_cast<int16_t>(at + 1) : rules_.stretch_ends[at + 1];
    const int next = std::min(at + kMaxHalfBars, rules_.stretch_end(at));
    rules_.plan_tokens_from[at] =
        static_cast<int16_t>(2 + rules_.has_given_section(next) + rules_.plan_tokens_from[next]);
  }
}

}  // namespace amt::midi
