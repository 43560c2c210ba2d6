// The grammar after some tokens: which token may come next, and what it changes. Plain data and functions for host and
// device, by which each token can be judged alone. docs/tokens.md, "Grammar". Its twin is
// amt/midi/reference/grammar.py.
//
// grammar_place.h, grammar_plan.h  the way to the end
// grammar_music.h                  what may come in the music
// grammar_demands.h                what shall come
// grammar_advance.h                what a token changes
// grammar_masks.cpp                on the CPU: all tokens at once, and errors
#pragma once

#include <cstdint>
#include <type_traits>

#include "grammar_place.h"
#include "grammar_rules.h"

namespace amt::midi {

class Grammar;

class GrammarState : GrammarPlace {
 public:
  explicit GrammarState(const Grammar& grammar);
  AMT_HD explicit GrammarState(const GrammarRules& rules);

  // Makes a state that was copied as bytes belong to its grammar, which may be somewhere else now.
  void bind(const Grammar& grammar);
  AMT_HD void bind(const GrammarRules& rules) { rules_ = &rules; }

  // mask: vocabulary size. With remaining >= 0, only tokens from which the sequence can still be ended in time, `eos`
  // included; if there is none, the budget is ignored. Of these, only those that meet the demands best.
  void allowed(uint8_t* mask, int64_t remaining) const;
  // Throws std::invalid_argument for a token that is not allowed, and leaves the state as it was.
  void advance(int id);

  // The same, token by token. What the tokens of a step are judged by: one thread finds it for all of them.
  struct Aim {
    int64_t remaining;
    bool asks_time;    // whether tokens must be asked if they end in time
    bool has_demands;  // whether they are ranked
    bool is_tight;     // whether the programs that are missing may need all that is left
    int goal;          // what the step must bring: a program (>= 0) or one of those below
  };
  AMT_HD Aim aim(int64_t remaining) const;
  // How far a token is from what a step shall bring. The mask has the tokens with the least distance, but none that is
  // forbidden.
  static constexpr uint8_t kForbidden = 255;
  AMT_HD uint8_t distance(int id, const Aim& aim) const;
  // Demands and budgets are no matter of a single token.
  AMT_HD bool is_allowed(int id) const { return id >= 0 && id < ids().size() && is_event_allowed(ids().event(id)); }
  // Goes on by a token; false if it is not allowed, and leaves the state as it was.
  AMT_HD bool take(int id);

  AMT_HD bool is_finished() const { return stage_ == Stage::kFinished; }
  AMT_HD int64_t now() const { return now_; }
  AMT_HD int64_t num_sounding() const { return num_sounding_; }
  // The length of one ending that always works.
  AMT_HD int64_t tokens_to_close() const { return GrammarPlace::tokens_to_close(lists_); }

 private:
  static constexpr int kNone = -2;  // an index that no change has
  static constexpr int kNothingDue = kNumPrograms;
  // Goals: nothing, any note, a note of a program that cannot come right now.
  static constexpr int kNoGoal = -3, kAnyNote = -2, kWait = -1;
  static constexpr int kHeld = 8;   // what may not come yet ranks behind all the rest
  static constexpr int kLate = 32;  // and what does not end in time behind that

  AMT_HD bool is_event_allowed(Event event) const;
  AMT_HD bool is_body_allowed(Event event) const;
  // On the CPU: the same for every id at once, and what is left of a mask by the budget and by the demands.
  void plan_allowed(uint8_t* mask) const;
  void body_allowed(uint8_t* mask) const;
  void keep_in_time(uint8_t* mask, int64_t remaining) const;
  void keep_demanded(uint8_t* mask, const Aim& aim) const;
  int longest_free_shift() const;

  AMT_HD bool is_in_time(Event event, int64_t remaining) const {
    return tokens_to_close_after(event, lists_) <= remaining - 1;
  }
  AMT_HD int goal(bool is_tight) const;
  // How far a token is from what the goal and the other demands ask for: 0 is best, and all are below 2 * kHeld.
  AMT_HD int rank(Event event, const Aim& aim) const;
  // The tokens that the programs which are missing may still need.
  AMT_HD int64_t room() const;
  AMT_HD bool is_held(Event event) const;
  AMT_HD Bits<kNumPrograms> missing() const { return limits().required_programs & ~has_played_ & open_to_; }
  // Whether so many steps from now the programs that are missing have to begin.
  AMT_HD bool must_enter(int64_t steps) const;

  // The pitches that may start now in the group of a program, be it the current one or the next.
  AMT_HD Bits<kNumPitches> startable(int program) const;
  // The highest pitch of a step at which notes began, and how often it came in a row.
  struct Top {
    int pitch;
    int64_t num;
  };
  // That of the last step before this one.
  AMT_HD Top top_before() const;
  // The pitch that has been the highest of what began so often that it may not be that again here, or -1.
  AMT_HD int worn_pitch() const;
  AMT_HD int velocity() const { return lists_.velocities[ids().velocity_holder(program_)]; }
  AMT_HD bool may_any_note_on(int program) const { return startable(program).any(); }
  AMT_HD bool may_note_off(int pitch) const;
  AMT_HD bool may_time_shift(int64_t steps) const;
  AMT_HD bool may_change(Kind kind, int index) const;
  AMT_HD bool may_pedal_on(int program) const;
  AMT_HD bool may_pedal_off() const;
  AMT_HD bool may_program(int program) const;
  AMT_HD bool may_eos() const;
  AMT_HD bool may_hole(int place) const;
  // Whether a hole of a program may begin or end in its group.
  AMT_HD bool may_hole_of(int program) const;
  AMT_HD bool may_fill() const;
  AMT_HD bool may_use(int program) const { return open_to_[program] && is_free(program); }
  AMT_HD bool is_free(int program) const {
    return limits().programs[program] &&
           (num_programs_ < limits().max_programs || has_begun_[program] || limits().required_programs[program]);
  }
  // Whether some program may begin something so many steps from now, in a fill.
  AMT_HD bool may_any_play(int64_t steps) const;
  AMT_HD bool is_full() const { return num_sounding_ >= limits().max_polyphony; }
  // Whether so many more steps lie within the length, or within the part that is being filled.
  AMT_HD bool has_room(int64_t steps) const { return now_ + steps <= (is_in_fill() ? fill_end_ : last_step_); }
  // How many bars have begun at a step from now on, but one that has lasted for no time yet.
  AMT_HD int64_t bars_begun(int64_t step) const {
    return bars_before_ + (step - metre_start_ + bar_steps_ - 1) / bar_steps_;
  }
  // Whether a step from now on, at the tempo and in the metre in force, is before the first that may be the last.
  AMT_HD bool is_early(int64_t step) const;
  // How many steps the programs that are missing need; 0 if none is.
  AMT_HD int64_t steps_to_enter() const {
    const int num_missing = missing().count();
    return num_missing > 0 ? num_missing + 2 : 0;
  }
  // The phase of the group that the next event would belong to: the current group's, or that of a fresh one.
  AMT_HD Phase phase_of(int program) const { return group_ == program ? phase_ : kNoPhase; }
  // At the last step everything closes in order: is it this program's turn, and (pitch >= 0) this note's?
  AMT_HD bool may_close(int program, int pitch) const;
  // How many steps are left until the first note is due.
  AMT_HD int64_t steps_to_deadline() const { return lists_.num_timed == 0 ? kUnlimited : lists_.timed[0].due() - now_; }

  AMT_HD void apply(Event event);
  AMT_HD void begin_part(bool is_first_part);
  AMT_HD void begin(int program);
  AMT_HD void begin_note(int pitch);
  AMT_HD void end_note(int pitch);
  AMT_HD void find_first_due();
  // After what changes the length of steps and bars, or what is missing; a bar line counts from `earliest` on.
  AMT_HD void find_last_step(int64_t earliest);

  Bits<kNumPrograms> has_played_, has_begun_;               // a note; a note or a pedal
  Bits<kNumPrograms> open_to_ = Bits<kNumPrograms>::all();  // what an edit lets begin something here
  int64_t num_programs_;                                    // that are required or have begun
  int64_t gap_ = 0;
  int64_t elapsed_us_ = 0, step_us_;     // in units of 1 / us_scale
  int64_t metre_start_ = 0, bar_steps_;  // of the time signature in force
  int64_t bars_before_ = 0;              // that had begun when it came
  int64_t last_step_ = kUnlimited;
  int64_t last_sound_ = 0;          // the last step at which a note sounded or began
  int64_t top_step_ = -1;           // the last step at which a non-drum note began, which may go on
  int64_t num_tops_ = 0;            // in a row at the steps before it with the same highest pitch
  int top_ = -1, top_before_ = -1;  // the highest pitch of that step, and of the ones before
  int64_t num_fillers_ = 0;         // tokens since the last note_on, but for note_off
  int tempo_ = -1, time_signature_ = -1;
  int due_program_ = kNothingDue, due_pitch_ = 0;  // the first in order of what must end at this step
  int num_changes_now_ = 0;                        // 1: a time signature, 2: a tempo came at this step
  bool is_last_step_ = false;                      // everything ends at this step
  GrammarLists lists_;
};

static_assert(std::is_trivially_copyable_v<GrammarState>, "states are kept in blocks of memory that may move");
static_assert(sizeof(GrammarState) == 5264, "a beam copies so much; the lists of notes have 4,112 of it");

}  // namespace amt::midi

#include "grammar_advance.h"
#include "grammar_demands.h"
#include "grammar_music.h"
