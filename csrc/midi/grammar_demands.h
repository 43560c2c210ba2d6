// What shall come: notes after a rest, programs that have not played, the end not before its time. They narrow what the
// grammar allows, and never to nothing. docs/tokens.md, "Grammar".
#pragma once

#include "grammar_state.h"

namespace amt::midi {

AMT_HD inline GrammarState::Aim GrammarState::aim(int64_t remaining) const {
  // A token adds at most 8 to the way to the end, and the programs of what is due.
  const bool asks_time =
      remaining >= 0 && !is_in_context() && remaining <= tokens_to_close() + 16 + open_programs().count();
  if (!limits().has_demands || !is_past_header()) return {remaining, asks_time, false, false, kNoGoal};
  const bool is_tight = remaining >= 0 && remaining < room();
  return {remaining, asks_time, true, is_tight, goal(is_tight)};
}

AMT_HD inline uint8_t GrammarState::distance(int id, const Aim& aim) const {
  const Event event = ids().event(id);
  if (event.kind == Kind::kEdit || !is_event_allowed(event)) return kForbidden;  // only who asks for an edit says so
  const int late = aim.asks_time && !is_in_time(event, aim.remaining) ? kLate : 0;
  return static_cast<uint8_t>(late + (aim.has_demands ? rank(event, aim) : 0));
}

AMT_HD inline bool GrammarState::must_enter(int64_t steps) const {
  const int64_t to_enter = steps_to_enter();
  if (is_in_fill()) return now_ + steps + to_enter > smaller(lists_.holes.next_change(now_), fill_end_);
  if (now_ + steps >= limits().entry_by_step) return true;
  // The tempo may become slower.
  return !has_room(steps + to_enter) ||
         elapsed_us_ + steps * step_us_ + to_enter * rules_->slowest_step_us > limits().max_us * rules_->us_scale;
}

AMT_HD inline int64_t GrammarState::room() const {
  // The tokens at most that a program which has not played yet needs until its note is over, and some to spare.
  constexpr int64_t kTokensToEnter = 7, kTokensToSpare = 16;
  return tokens_to_close() + kTokensToEnter * missing().count() + kTokensToSpare;
}

AMT_HD inline int GrammarState::goal(bool is_tight) const {
  const Bits<kNumPrograms> absent = missing();
  if (absent.any() && (must_enter(0) || is_tight)) {
    for (int program = absent.next(larger(group_, 0)); program < kNumPrograms; program = absent.next(program + 1)) {
      if (may_any_note_on(program)) return program;
    }
    return kWait;
  }
  const bool is_rest_over = num_sounding_ == 0 && now_ - last_sound_ >= limits().max_rest_steps;
  return is_rest_over || num_fillers_ >= limits().max_filler_tokens ? kAnyNote : kNoGoal;
}

AMT_HD inline bool GrammarState::is_held(Event event) const {
  if (event.kind == Kind::kEos || event.kind == Kind::kFill) {
    return is_early(now_) || missing().any() || (limits().limits_rests && !has_played_.any());
  }
  if (event.kind != Kind::kTimeShift) return false;
  if (num_sounding_ == 0 && now_ + event.value - last_sound_ > limits().max_rest_steps) return true;
  return event.value > 1 && missing().any() && must_enter(event.value - 1);
}

AMT_HD inline int GrammarState::rank(Event event, const Aim& aim) const {
  const int held = is_held(event) ? kHeld : 0;
  if (aim.goal == kNoGoal) return held;
  if (is_of_plan(event.kind)) return aim.is_tight ? 5 : 0;  // no time passes
  const bool is_shift = event.kind == Kind::kTimeShift;
  const bool is_note = event.kind == Kind::kNoteOn || event.kind == Kind::kVelocity;
  const bool is_program = event.kind == Kind::kProgram;
  const bool closes = event.kind == Kind::kNoteOff || (is_program && has_notes_[event.value]);
  if (aim.goal == kAnyNote) {
    const bool is_end = event.kind == Kind::kEos || event.kind == Kind::kFill;
    if (is_note || is_end || event.kind == Kind::kNoteOff) return held;
    if (is_program && may_any_note_on(event.value)) return held;
    return held + (closes ? (is_full() ? 0 : 1) : is_shift ? 2 : 5);
  }
  if ((is_note && program_ == aim.goal) || (is_program && event.value == aim.goal)) return held;
  if (closes) return held + (is_full() ? 1 : 4);
  return held + (is_shift ? (event.value == 1 ? 2 : 3) : 5);
}

AMT_HD inline bool GrammarState::is_early(int64_t step) const {
  if (edit_ != Edit::kNone) return false;
  // By a quotient: the steps times their length may pass 64 bits.
  const int64_t us_left = limits().min_us * rules_->us_scale - elapsed_us_;
  const bool is_short = us_left > 0 && (step_us_ == 0 || step - now_ <= (us_left - 1) / step_us_);
  return step < limits().min_steps || is_short || bars_begun(step) < limits().min_bars;
}

}  // namespace amt::midi
