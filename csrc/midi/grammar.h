// Which token may come next: accepts exactly the beginnings of canonical sequences. docs/tokens.md, "Grammar".
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "holes.h"
#include "named_values.h"
#include "plan.h"
#include "vocabulary.h"

namespace amt::midi {

// What the music may not do, and what it must do, beyond being canonical. Its twin is amt/midi/limits.py.
struct Constraints {
  static constexpr int64_t kUnlimited = int64_t{1} << 40;

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

  // What holds in the context of an edit, which is given: nothing but its form. nullptr: there are no edits.
  const Grammar* of_context() const { return of_context_.get(); }

  // The pitches that the constraints let a program play at all.
  const std::bitset<kNumPitches>& playable(int program) const { return playable_[program]; }
  bool may_have_tempo(int index) const { return constraints_.tempo_min_index <= index && index <= tempo_max_; }
  // How many notes of a program may sound at once.
  int64_t max_voices(int program) const {
    return constraints_.max_voices.empty() ? kNumPitches : constraints_.max_voices[program];
  }
  // Whether the longest note is limited, so that states keep when notes are due.
  bool limits_notes() const { return !constraints_.max_note_steps.empty(); }
  // Where it is: how many steps a note of a program may last.
  int64_t longest_note(int program) const { return constraints_.max_note_steps[program]; }
  bool limits_rests() const {
    return constraints_.max_rest_steps < Constraints::kUnlimited ||
           constraints_.max_filler_tokens < Constraints::kUnlimited;
  }
  // Whether something is demanded: that a note come, that a program play, that the end come late enough.
  bool has_demands() const { return has_demands_; }

  // The plan: whether any of it is given, and its length; if it is free, how long it may be.
  bool has_plan() const { return vocabulary_.config().has_plans_and_edits; }
  bool is_plan_given() const { return !constraints_.plan_sections.empty() || !constraints_.plan_chords.empty(); }
  int plan_half_bars() const { return plan_half_bars_; }
  // What is given breaks the plan into stretches, in which no section begins and no chord changes but as the model
  // likes: where the stretch of a half bar ends.
  int stretch_end(int half_bar) const { return is_plan_given() ? stretch_end_[half_bar] : plan_half_bars_; }
  // Of a given plan: the tokens from a chord that begins at a half bar to the end, with as few chords as can be.
  int plan_tokens_from(int half_bar) const { return plan_tokens_from_[half_bar]; }
  bool has_given_section(int half_bar) const {
    return !constraints_.plan_sections.empty() && half_bar < plan_half_bars_ &&
           constraints_.plan_sections[half_bar] != PlanChord::kSameSection;
  }

  // Microseconds are counted in units of 1 / `us_scale`, so that steps are whole numbers of them.
  int64_t us_scale() const { return us_scale_; }
  int64_t step_us(int tempo_index) const { return vocabulary_.tempo_us(tempo_index); }
  int64_t slowest_step_us() const {
    const VocabularyConfig& config = vocabulary_.config();
    return config.is_score ? step_us(constraints_.tempo_min_index) : int64_t{1000} * config.step_ms;
  }

 private:
  void survey_plan();

  Vocabulary vocabulary_;
  Constraints constraints_;
  int plan_half_bars_ = 0;
  std::vector<int> stretch_end_, plan_tokens_from_;
  std::array<std::bitset<kNumPitches>, kNumPrograms> playable_{};
  int tempo_max_;
  int64_t us_scale_;
  bool has_demands_;
  std::shared_ptr<const Grammar> of_context_;
};

// A note that sounds and the step at which it is due, as one number: in order of due, program, pitch.
class TimedNote {
 public:
  TimedNote() = default;
  TimedNote(int64_t due, int program, int pitch)
      : bits_(static_cast<uint64_t>(due) << 16 | static_cast<uint64_t>(program << 8 | pitch)) {}

  int64_t due() const { return static_cast<int64_t>(bits_ >> 16); }
  int program() const { return static_cast<int>(bits_ >> 8 & 0xff); }
  int pitch() const { return static_cast<int>(bits_ & 0xff); }
  bool is_of(int program, int pitch) const { return (bits_ & 0xffff) == static_cast<uint64_t>(program << 8 | pitch); }
  bool operator<(const TimedNote& other) const { return bits_ < other.bits_; }

 private:
  uint64_t bits_ = 0;
};
// With a longest note, so many notes sound at once at most.
constexpr int kMaxTimedNotes = 256;

class GrammarState {
 public:
  explicit GrammarState(const Grammar& grammar);

  // Makes a state that was copied as bytes belong to `grammar`: the same one, perhaps somewhere else.
  void bind(const Grammar& grammar) { grammar_ = &grammar; }

  // Demands and budgets are no matter of a single token: see `allowed`.
  bool is_allowed(int id) const;
  // mask: vocabulary size. With remaining >= 0, only tokens from which the sequence can still be ended in time, `eos`
  // included; if there is none, the budget is ignored. Of these, only those that meet the demands best.
  void allowed(uint8_t* mask, int64_t remaining) const;
  // Throws std::invalid_argument for a token that is not allowed, and leaves the state as it was.
  void advance(int id);

  bool is_finished() const { return stage_ == Stage::kFinished; }
  int64_t now() const { return now_; }
  int64_t num_sounding() const { return num_sounding_; }
  // The length of one ending that always works.
  int64_t tokens_to_close() const;

 private:
  enum class Stage : uint8_t { kStart, kTimeSignature, kTempo, kPlan, kBody, kFinished };
  enum class PlanLast : uint8_t { kNothing, kSection, kBars, kChord };
  enum class Last : uint8_t { kEvent, kShift, kLargestShift, kProgram, kVelocity };
  enum Phase : int8_t { kNoPhase = -2, kHole, kOffs, kPedalUp, kPedalDown, kOns };
  // Which part of an edit this is, if it is one.
  enum class Edit : uint8_t { kNone, kContext, kFill };

  // What holds here.
  const Grammar& rules() const { return edit_ == Edit::kContext ? *grammar_->of_context() : *grammar_; }
  const Vocabulary& vocabulary() const { return grammar_->vocabulary(); }
  const Constraints& constraints() const { return rules().constraints(); }
  bool is_score() const { return vocabulary().config().is_score; }
  bool is_dangling() const { return last_ == Last::kProgram || last_ == Last::kVelocity; }
  bool is_after_shift() const { return last_ == Last::kShift || last_ == Last::kLargestShift; }

  static constexpr int kNone = -2;  // an index that no change has

  static constexpr int kNothingDue = kNumPrograms;
  // What a step must bring: nothing, any note, a note of a program that cannot come right now, or a program's (>= 0).
  static constexpr int kNoGoal = -3, kAnyNote = -2, kWait = -1;

  bool is_plan_allowed(Event event) const;
  void plan_allowed(uint8_t* mask) const;
  // Whether a chord may last so long here, so that the plan can go on behind it.
  bool may_last(int half_bars) const;
  // Whether nothing but a section may follow: here, and after a chord that ends at a half bar.
  bool needs_section() const {
    return plan_chord_ >= 0 && needs_section_after(plan_chord_, plan_chord_half_bars_, plan_at_);
  }
  bool needs_section_after(int chord, int half_bars, int half_bar) const;
  bool may_end_plan() const;
  int64_t tokens_to_end_plan() const;
  void apply_to_plan(Event event);

  bool is_body_allowed(Event event) const;
  void body_allowed(uint8_t* mask) const;
  int64_t tokens_to_close_after(Event event) const;
  // Drops from the mask what does not end in time.
  void keep_in_time(uint8_t* mask, int64_t remaining) const;
  // Drops from the mask all but what meets the demands best.
  void keep_demanded(uint8_t* mask, int64_t remaining) const;
  int goal(int64_t remaining) const;
  // How far a token is from what the goal and the other demands ask for: 0 is best.
  int rank(Event event, int goal, bool is_tight) const;
  // The tokens that the programs which are missing may still need.
  int64_t room() const;
  bool is_held(Event event) const;
  int longest_free_shift() const;
  std::bitset<kNumPrograms> missing() const { return constraints().required_programs & ~has_played_ & open_to_; }
  // Whether so many steps from now the programs that are missing have to begin.
  bool must_enter(int64_t steps) const;

  // The pitches that may start now in the group of a program, be it the current one or the next.
  std::bitset<kNumPitches> startable(int program) const;
  // The pitch that has been the highest of what began so often that it may not be that again here, or -1.
  int worn_pitch() const;
  // The highest pitch of the last step before this one at which a note began, and how often it came in a row.
  std::pair<int, int64_t> top_before() const;
  bool may_note_on(int program, int pitch) const { return startable(program)[pitch]; }
  int velocity() const { return velocities_[vocabulary().velocity_holder(program_)]; }
  bool may_any_note_on(int program) const { return startable(program).any(); }
  bool may_note_off(int pitch) const;
  bool may_time_shift(int64_t steps) const;
  bool may_change(Kind kind, int index) const;
  bool may_pedal_on(int program) const;
  bool may_pedal_off() const;
  bool may_program(int program) const;
  bool may_eos() const;
  bool may_hole(int place) const;
  // Whether a hole of a program may begin or end in its group.
  bool may_hole_of(int program) const;
  bool may_fill() const;
  bool is_in_context() const { return edit_ == Edit::kContext; }
  bool is_in_fill() const { return edit_ == Edit::kFill; }
  void begin_part();
  bool may_use(int program) const { return open_to_[program] && is_free(program); }
  bool is_free(int program) const {
    return constraints().programs[program] && (num_programs_ < constraints().max_programs || has_begun_[program] ||
                                               constraints().required_programs[program]);
  }
  // Whether some program may begin something so many steps from now, in a fill.
  bool may_any_play(int64_t steps) const;
  bool is_full() const { return num_sounding_ >= constraints().max_polyphony; }
  // Whether so many more steps lie within the length, or within the part that is being filled.
  bool has_room(int64_t steps) const { return now_ + steps <= (is_in_fill() ? fill_end_ : last_step_); }
  // How many bars have begun at a step from now on, but one that has lasted for no time yet.
  int64_t bars_begun(int64_t step) const { return bars_before_ + (step - metre_start_ + bar_steps_ - 1) / bar_steps_; }
  // Whether a step from now on, at the tempo and in the metre in force, is before the first that may be the last.
  bool is_early(int64_t step) const;
  // How many steps the programs that are missing need; 0 if none is.
  int64_t steps_to_enter() const {
    const auto num_missing = static_cast<int64_t>(missing().count());
    return num_missing > 0 ? num_missing + 2 : 0;
  }
  // After what changes the length of steps and bars, or what is missing; a bar line counts from `earliest` on.
  void find_last_step(int64_t earliest);
  // The phase of the group that the next event would belong to: the current group's, or that of a fresh one.
  Phase phase_of(int program) const { return group_ == program ? phase_ : kNoPhase; }
  std::bitset<kNumPrograms> open_programs() const { return has_notes_ | has_pedal_; }
  bool is_open(int program) const { return has_notes_[program] || has_pedal_[program]; }
  bool is_any_open() const { return open_programs().any(); }
  bool is_any_open_below(int program) const { return (open_programs() << (kNumPrograms - program)).any(); }
  bool is_any_sounding_below(int program, int pitch) const {
    return (sounding_[program] << (kNumPitches - pitch)).any();
  }
  // At the last step everything closes in order: is it this program's turn, and (pitch >= 0) this note's?
  bool may_close(int program, int pitch) const;
  bool can_close_now() const;
  // How many steps are left until the first note is due.
  int64_t steps_to_deadline() const { return num_timed_ == 0 ? Constraints::kUnlimited : timed_[0].due() - now_; }
  // Programs with notes that must end at this step.
  std::bitset<kNumPrograms> due_programs() const;
  void find_first_due();
  void begin(int program);
  void begin_note(int pitch);
  void end_note(int pitch);
  void apply(Event event);

  const Grammar* grammar_;
  std::array<std::bitset<kNumPitches>, kNumPrograms> sounding_{};
  std::bitset<kNumPrograms> has_notes_, has_pedal_;   // which programs do
  std::bitset<kNumPrograms> has_played_, has_begun_;  // a note; a note or a pedal
  std::array<TimedNote, kMaxTimedNotes> timed_{};     // with a longest note: what sounds, in order
  int num_timed_ = 0;
  int due_program_ = kNothingDue, due_pitch_ = 0;  // the first in order of what must end at this step
  int64_t num_sounding_ = 0;
  int64_t num_programs_ = 0;  // that are required or have begun
  int64_t now_ = 0, gap_ = 0;
  int64_t elapsed_us_ = 0, step_us_ = 0;  // in units of 1 / us_scale
  int64_t metre_start_ = 0, bar_steps_;   // of the time signature in force
  int64_t bars_before_ = 0;               // that had begun when it came
  int64_t last_step_ = Constraints::kUnlimited;
  int64_t last_sound_ = 0;          // the last step at which a note sounded or began
  int64_t top_step_ = -1;           // the last step at which a non-drum note began, which may go on
  int64_t num_tops_ = 0;            // in a row at the steps before it with the same highest pitch
  int top_ = -1, top_before_ = -1;  // the highest pitch of that step, and of the ones before
  int64_t num_fillers_ = 0;         // tokens since the last note_on, but for note_off
  int program_, tempo_ = -1, time_signature_ = -1;
  int group_ = -1, last_pitch_ = -1;
  std::array<int8_t, kNumPrograms> velocities_;  // in force: of each program, or the first for all
  int num_changes_now_ = 0;                      // 1: a time signature, 2: a tempo came at this step
  Stage stage_ = Stage::kStart;
  Last last_ = Last::kEvent;
  Phase phase_ = kNoPhase;
  Edit edit_ = Edit::kNone;
  HoleTrack holes_;
  std::bitset<kNumPrograms> open_to_ = std::bitset<kNumPrograms>().set();  // what an edit lets begin something here
  int64_t fill_end_ = 0;                                                   // of the part that is being filled
  int64_t num_parts_left_ = 0;                                             // that are to be filled after it
  bool is_last_step_ = false;                                              // everything ends at this step
  PlanLast plan_last_ = PlanLast::kNothing;
  int plan_at_ = 0, plan_half_bars_ = 0;            // how long the plan is; what a chord lasts, or 0
  int plan_chord_ = -1, plan_chord_half_bars_ = 0;  // the last one of this section, or -1
};

static_assert(std::is_trivially_copyable_v<GrammarState>, "states are kept in blocks of memory that may move");

}  // namespace amt::midi
