// What a grammar says, as plain data that can be copied to a GPU: no pointers. `Grammar` in grammar.h makes it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "bits.h"
#include "plan.h"
#include "vocabulary_ids.h"

namespace amt::midi {

constexpr int64_t kUnlimited = int64_t{1} << 40;
constexpr int kMaxTempos = 512;

// `Constraints` of grammar.h: the same meaning, with what is empty there spelled out.
struct GrammarLimits {
  int64_t max_polyphony, max_programs, max_top_run;
  int64_t min_steps, max_steps, min_us, max_us, min_bars, max_bars;
  int64_t max_rest_steps, max_filler_tokens, entry_by_step;
  int min_tempo, max_tempo;  // indices
  int time_signature;        // its index; -1: free
  bool whole_bars;
  bool limits_notes;  // whether the longest note is limited, so that states keep when notes are due
  bool limits_rests;
  bool has_demands;  // that a note come, that a program play, or that the end come late enough
  Bits<kNumPrograms> programs, required_programs;
  Bits<kNumPitches> playable[kNumPrograms];  // the pitches that a program can play at all
  int64_t longest_note[kNumPrograms];        // in steps, where notes are limited
  uint8_t max_voices[kNumPrograms];

  AMT_HD bool may_have_tempo(int index) const { return min_tempo <= index && index <= max_tempo; }
};

struct GrammarRules {
  VocabularyIds ids;
  GrammarLimits music, context;  // in the context of an edit, which is given, nothing holds but its form
  // Microseconds are counted in units of 1 / us_scale, so that steps are whole numbers of them.
  int64_t us_scale, slowest_step_us;
  int32_t tempo_us[kMaxTempos];  // of a beat, which is that of a step in units of 1 / us_scale

  // The plan: which parts of it are given, and its length; if it is free, how long it may be.
  bool gives_sections, gives_chords;
  int plan_half_bars;
  int8_t sections[kMaxPlanHalfBars];  // that begins there, or PlanChord::kSameSection
  int8_t chords[kMaxPlanHalfBars];
  // What is given breaks the plan into stretches, in which no section begins and no chord changes but as the model
  // likes: where the stretch of a half bar ends.
  int16_t stretch_ends[kMaxPlanHalfBars];
  // Of a given plan: the tokens from a chord that begins at a half bar to the end, with as few chords as can be.
  int16_t plan_tokens_from[kMaxPlanHalfBars + 1];

  AMT_HD bool is_plan_given() const { return gives_sections || gives_chords; }
  AMT_HD int stretch_end(int half_bar) const { return is_plan_given() ? stretch_ends[half_bar] : plan_half_bars; }
  AMT_HD bool has_given_section(int half_bar) const {
    return gives_sections && half_bar < plan_half_bars && sections[half_bar] != PlanChord::kSameSection;
  }
};

static_assert(std::is_trivially_copyable_v<GrammarRules>, "rules are copied to a GPU as bytes");

}  // namespace amt::midi
