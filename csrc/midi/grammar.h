// What music may be written: limits on top of what is canonical, checked and made into rules. docs/tokens.md,
// "Grammar".
#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "grammar_rules.h"
#include "grammar_state.h"
#include "named_values.h"
#include "plan.h"
#include "vocabulary.h"

namespace amt::midi {

// What the music may not do, and what it must do, beyond being canonical. Its twin is amt/midi/limits.py.
struct Constraints {
  static constexpr int64_t kUnlimited = midi::kUnlimited;

  int64_t max_polyphony = kNumPrograms * kNumPitches;  // sounding non-drum notes
  int64_t min_steps = 0, max_steps = kUnlimited;       // when the piece ends
  int64_t min_us = 0, max_us = kUnlimited;             // the same in microseconds
  int64_t min_bars = 0, max_bars = kUnlimited;         // how many bars have begun then
  bool whole_bars = false;                             // it ends at a bar line, if one lies within all these
  int64_t max_rest_steps = kUnlimited;                 // without a sounding note or a new one
  int64_t max_filler_tokens = kUnlimited;              // between two note_on, note_off not counted
  std::bitset<kNumPrograms> programs = std::bitset<kNumPrograms>().set();
  std::bitset<kNumPrograms> required_programs;  // have a note before `eos`
  int64_t entry_by_step = kUnlimited;           // when the required programs have begun
  int64_t max_programs = kNumPrograms;
  std::bitset<12> pitch_classes = std::bitset<12>().set();  // of non-drum notes
  std::vector<int> min_pitch, max_pitch;                    // for each program; empty: free
  std::vector<int64_t> max_voices;                          // for each program, sounding notes; empty: free
  int64_t max_top_run = kUnlimited;     // how often in a row the highest note that begins may have the same pitch
  std::vector<int64_t> max_note_steps;  // of non-drum notes, of all or of each; empty: free
  int tempo_index = -1;                 // -1: free
  int tempo_min_index = 0, tempo_max_index = 1 << 20;
  int time_signature_index = -1;
  int max_plan_half_bars = kMaxPlanHalfBars;  // 0: no plan
  // Of each half bar of a plan of just so many: the section that begins there or PlanChord::kSameSection, and the
  // chord. Empty: free; with one of them there is a plan.
  std::vector<int> plan_sections, plan_chords;
};

template <typename Visitor>
void visit_fields(Constraints& constraints, Visitor& visit) {
  visit("max_polyphony", constraints.max_polyphony);
  visit("max_voices", constraints.max_voices);
  visit("max_top_run", constraints.max_top_run);
  visit("max_note_steps", constraints.max_note_steps);
  visit("min_steps", constraints.min_steps);
  visit("max_steps", constraints.max_steps);
  visit("min_us", constraints.min_us);
  visit("max_us", constraints.max_us);
  visit("min_bars", constraints.min_bars);
  visit("max_bars", constraints.max_bars);
  visit("whole_bars", constraints.whole_bars);
  visit("max_rest_steps", constraints.max_rest_steps);
  visit("max_filler_tokens", constraints.max_filler_tokens);
  visit("programs", constraints.programs);
  visit("required_programs", constraints.required_programs);
  visit("entry_by_step", constraints.entry_by_step);
  visit("max_programs", constraints.max_programs);
  visit("pitch_classes", constraints.pitch_classes);
  visit("min_pitch", constraints.min_pitch);
  visit("max_pitch", constraints.max_pitch);
  visit("tempo_index", constraints.tempo_index);
  visit("tempo_min_index", constraints.tempo_min_index);
  visit("tempo_max_index", constraints.tempo_max_index);
  visit("time_signature_index", constraints.time_signature_index);
  visit("max_plan_half_bars", constraints.max_plan_half_bars);
  visit("plan_sections", constraints.plan_sections);
  visit("plan_chords", constraints.plan_chords);
}

class Grammar {
 public:
  // Throws std::invalid_argument if no note could ever be played.
  Grammar(Vocabulary vocabulary, Constraints constraints);

  const Vocabulary& vocabulary() const { return vocabulary_; }
  const Constraints& constraints() const { return constraints_; }
  // What states read; to be copied to a GPU as bytes.
  const GrammarRules& rules() const { return rules_; }

  // The pitches that the constraints let a program play at all.
  const Bits<kNumPitches>& playable(int program) const { return rules_.music.playable[program]; }
  // Whether something is demanded: that a note come, that a program play, that the end come late enough.
  bool has_demands() const { return rules_.music.has_demands; }

 private:
  void survey_plan();

  Vocabulary vocabulary_;
  Constraints constraints_;
  GrammarRules rules_{};
};

inline GrammarState::GrammarState(const Grammar& grammar) : GrammarState(grammar.rules()) {}
inline void GrammarState::bind(const Grammar& grammar) { bind(grammar.rules()); }

}  // namespace amt::midi
