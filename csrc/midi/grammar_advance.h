// What a token changes in the grammar's state.
#pragma once

#include "grammar_state.h"

namespace amt::midi {

AMT_HD inline GrammarState::GrammarState(const GrammarRules& rules)
    : GrammarPlace(rules),
      num_programs_(rules.music.required_programs.count()),
      step_us_(rules.ids.is_score ? 0 : int64_t{1000} * rules.ids.step_ms),
      bar_steps_(int64_t{4} * rules.ids.steps_per_beat) {
  for (int8_t& velocity : lists_.velocities) velocity = -1;
}

AMT_HD inline bool GrammarState::take(int id) {
  if (!is_allowed(id)) return false;
  apply(ids().event(id));
  return true;
}

AMT_HD inline void GrammarState::apply(Event event) {
  const bool is_music = is_past_header(), is_first_part = is_in_context();
  go(event, lists_);
  if (is_of_plan(event.kind)) return;
  if (is_music && event.kind != Kind::kNoteOff) ++num_fillers_;
  gap_ = event.kind == Kind::kTimeShift ? gap_ + event.value : 0;
  switch (event.kind) {
    case Kind::kBos:
    case Kind::kEdit:
      find_last_step(now_);
      break;
    case Kind::kNoteOn:
      begin_note(event.value);
      break;
    case Kind::kNoteOff:
      end_note(event.value);
      break;
    case Kind::kTimeShift:
      elapsed_us_ += event.value * step_us_;
      if (num_sounding_ > 0) last_sound_ = now_;
      is_last_step_ = !has_room(1);
      if (is_in_fill()) open_to_ = lists_.holes.missing_at(now_).set();
      find_first_due();
      num_changes_now_ = 0;
      break;
    case Kind::kVelocity:
      lists_.velocities[ids().velocity_holder(program_)] = static_cast<int8_t>(event.value);
      break;
    case Kind::kTempo:
      tempo_ = event.value;
      step_us_ = rules_->tempo_us[tempo_];
      find_last_step(now_);
      if (is_music) num_changes_now_ = 2;
      break;
    case Kind::kTimeSignature:
      time_signature_ = event.value;
      bars_before_ = bars_begun(now_);
      metre_start_ = now_;
      bar_steps_ = ids().bar_steps(event.value);
      find_last_step(now_);
      if (is_music) num_changes_now_ = 1;
      break;
    case Kind::kPedalOn:
      begin(program_);
      break;
    case Kind::kHole:
      lists_.holes.take(now_, event.value, program_);
      open_to_ = ~lists_.holes.missing().set();
      if (event.value >= kAllBegin) num_changes_now_ = 3;
      break;
    case Kind::kFill:
      begin_part(is_first_part);
      break;
    default:
      break;
  }
}

// As at a beginning, no velocity is in force and nothing has played.
AMT_HD inline void GrammarState::begin_part(bool is_first_part) {
  if (is_first_part) {
    has_begun_ = {};
    num_programs_ = limits().required_programs.count();
  }
  last_sound_ = now_;
  top_step_ = top_ = top_before_ = -1;
  num_tops_ = 0;
  open_to_ = lists_.holes.missing_at(now_).set();
  for (int8_t& velocity : lists_.velocities) velocity = -1;
  num_fillers_ = 0;
  has_played_ = {};
  is_last_step_ = !has_room(1);
  find_first_due();
}

AMT_HD inline void GrammarState::begin(int program) {
  if (!has_begun_[program] && !limits().required_programs[program]) ++num_programs_;
  has_begun_.set(program);
}

AMT_HD inline void GrammarState::begin_note(int pitch) {
  last_sound_ = now_;
  num_fillers_ = 0;
  const bool is_new = !has_played_[program_];
  has_played_.set(program_);
  if (is_new && limits().required_programs[program_]) find_last_step(now_ + 1);  // its note_off comes later
  begin(program_);
  if (program_ == kDrums) return;
  const Top before = top_before();
  top_before_ = before.pitch;
  num_tops_ = before.num;
  top_ = top_step_ == now_ ? larger(top_, pitch) : pitch;
  top_step_ = now_;
  lists_.sounding[program_].set(pitch);
  if (!limits().limits_notes) return;
  const TimedNote note(now_ + limits().longest_note[program_], program_, pitch);
  int place = lists_.num_timed++;
  for (; place > 0 && note < lists_.timed[place - 1]; --place) lists_.timed[place] = lists_.timed[place - 1];
  lists_.timed[place] = note;
}

AMT_HD inline void GrammarState::end_note(int pitch) {
  lists_.sounding[program_].set(pitch, false);
  if (!limits().limits_notes) return;
  int place = 0;
  while (!lists_.timed[place].is_of(program_, pitch)) ++place;
  --lists_.num_timed;
  for (; place < lists_.num_timed; ++place) lists_.timed[place] = lists_.timed[place + 1];
  find_first_due();
}

AMT_HD inline void GrammarState::find_first_due() {
  // No time_shift goes beyond a step at which a note is due: all that are due now are due at this step, in order.
  const bool is_any = lists_.num_timed > 0 && lists_.timed[0].due() <= now_;
  due_program_ = is_any ? lists_.timed[0].program() : kNothingDue;
  due_pitch_ = is_any ? lists_.timed[0].pitch() : 0;
}

AMT_HD inline void GrammarState::find_last_step(int64_t earliest) {
  const GrammarLimits& given = limits();
  last_step_ = given.max_steps;
  if (given.max_us < kUnlimited && step_us_ > 0) {
    last_step_ = smaller(last_step_, now_ + (given.max_us * rules_->us_scale - elapsed_us_) / step_us_);
  }
  if (given.max_bars < kUnlimited) {
    last_step_ = smaller(last_step_, metre_start_ + (given.max_bars - bars_before_) * bar_steps_);
  }
  if (given.whole_bars) {
    const int64_t bar_line = last_step_ - (last_step_ - metre_start_) % bar_steps_;
    if (bar_line >= earliest + steps_to_enter() && !is_early(bar_line)) last_step_ = bar_line;
  }
  is_last_step_ = !has_room(1);
}

}  // namespace amt::midi
