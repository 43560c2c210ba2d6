// What may come in the music: each event by itself.
#pragma once

#include "grammar_state.h"

namespace amt::midi {

AMT_HD inline bool GrammarState::is_event_allowed(Event event) const {
  switch (stage_) {
    case Stage::kStart:
      return event.kind == Kind::kBos;
    case Stage::kTimeSignature:
      return event.kind == Kind::kTimeSignature &&
             (limits().time_signature < 0 || event.value == limits().time_signature);
    case Stage::kTempo:
      return event.kind == Kind::kTempo && limits().may_have_tempo(event.value);
    case Stage::kPlan:
      return is_plan_allowed(event) || (may_end_plan() && is_body_allowed(event));
    case Stage::kBody:
      return is_body_allowed(event);
    case Stage::kFinished:
      return false;
  }
  return false;
}

AMT_HD inline bool GrammarState::is_body_allowed(Event event) const {
  if (last_ == Last::kVelocity) return event.kind == Kind::kNoteOn && startable(program_)[event.value];
  switch (event.kind) {
    case Kind::kPad:
    case Kind::kBos:
      return false;
    case Kind::kEos:
      return may_eos();
    case Kind::kNoteOn:
      return program_ >= 0 && velocity() >= 0 && startable(program_)[event.value];
    case Kind::kNoteOff:
      return program_ >= 0 && may_note_off(event.value);
    case Kind::kTimeShift:
      return may_time_shift(event.value);
    case Kind::kVelocity:
      return program_ >= 0 && event.value != velocity() && may_any_note_on(program_);
    case Kind::kProgram:
      return may_program(event.value);
    case Kind::kTempo:
    case Kind::kTimeSignature:
      return may_change(event.kind, event.value);
    case Kind::kPedalOff:
      return program_ >= 0 && may_pedal_off();
    case Kind::kPedalOn:
      return program_ >= 0 && may_pedal_on(program_);
    case Kind::kSection:
    case Kind::kChord:
    case Kind::kBars:
      return false;
    case Kind::kEdit:
      return stage_ == Stage::kPlan;
    case Kind::kHole:
      return may_hole(event.value);
    case Kind::kFill:
      return may_fill();
  }
  return false;
}

AMT_HD inline Bits<kNumPitches> GrammarState::startable(int program) const {
  if (is_last_step_ || program >= due_program_ || !may_use(program)) return {};
  Bits<kNumPitches> pitches = limits().playable[program];
  if (phase_of(program) == kOns) pitches &= Bits<kNumPitches>::from(last_pitch_ + 1);
  if (program == kDrums) return pitches;
  const Bits<kNumPitches>& sounding = lists_.sounding[program];
  if (is_full() || sounding.count() >= limits().max_voices[program]) return {};
  pitches &= ~sounding;
  if (const int pitch = worn_pitch(); pitch >= 0 && limits().playable[program].count() > 1) pitches.set(pitch, false);
  return pitches;
}

AMT_HD inline int GrammarState::worn_pitch() const {
  if (limits().max_top_run == kUnlimited) return -1;
  const Top before = top_before();
  return before.num < limits().max_top_run || (top_step_ == now_ && top_ >= before.pitch) ? -1 : before.pitch;
}

AMT_HD inline GrammarState::Top GrammarState::top_before() const {
  if (top_step_ == now_) return {top_before_, num_tops_};
  return {top_, top_ == top_before_ ? num_tops_ + 1 : 1};
}

AMT_HD inline bool GrammarState::may_note_off(int pitch) const {
  const Phase phase = phase_of(program_);
  return program_ != kDrums && lists_.sounding[program_][pitch] && phase <= kOffs &&
         (phase != kOffs || pitch > last_pitch_) && may_close(program_, pitch) &&
         (program_ < due_program_ || (program_ == due_program_ && pitch <= due_pitch_));
}

AMT_HD inline bool GrammarState::may_time_shift(int64_t steps) const {
  if (is_dangling() || last_ == Last::kShift) return false;
  if (edit_ == Edit::kNone && gap_ + steps > ids().max_gap_steps) return false;
  if (!has_room(steps) || (!has_room(steps + 1) && !is_any_open())) return false;
  if (is_in_fill() && !is_any_open() && !may_any_play(steps)) return false;
  return steps <= steps_to_deadline();
}

AMT_HD inline bool GrammarState::may_change(Kind kind, int index) const {
  const bool is_tempo = kind == Kind::kTempo;
  if (is_in_fill()) return false;
  if (!is_after_shift() && num_changes_now_ == 0) return false;
  if (group_ >= 0 || is_dangling() || is_last_step_) return false;
  if (num_changes_now_ >= (is_tempo ? 2 : 1)) return false;
  if (is_tempo) return index == kNone || (index != tempo_ && limits().may_have_tempo(index));
  if (limits().time_signature >= 0 || index == time_signature_) return false;
  if (index == kNone || limits().max_bars == kUnlimited) return true;
  const int64_t bars_left = limits().max_bars - bars_begun(now_);
  return bars_left * ids().bar_steps(index) >= larger<int64_t>(1, steps_to_enter());
}

AMT_HD inline bool GrammarState::may_pedal_on(int program) const {
  return program != kDrums && !has_pedal_[program] && phase_of(program) <= kPedalUp && may_use(program) &&
         !is_last_step_ && program < due_program_;
}

AMT_HD inline bool GrammarState::may_pedal_off() const {
  return program_ != kDrums && has_pedal_[program_] && phase_of(program_) <= kOffs &&
         may_close(program_, kNumPitches) && program_ < due_program_;
}

AMT_HD inline bool GrammarState::may_program(int program) const {
  if (is_dangling() || program == program_ || program <= group_ || program > due_program_) return false;
  if (is_last_step_) return may_close(program, -1);
  return is_open(program) || may_pedal_on(program) || may_any_note_on(program) || may_hole_of(program);
}

AMT_HD inline bool GrammarState::may_eos() const {
  return !is_any_open() && last_ == Last::kEvent && !is_in_context() && num_parts_left_ == 0;
}

AMT_HD inline bool GrammarState::may_hole(int place) const {
  if (place < kAllBegin) {
    return is_in_context() && program_ >= 0 && phase_of(program_) == kNoPhase && lists_.holes.may_take(place, program_);
  }
  return is_in_context() && !is_dangling() && group_ < 0 && num_changes_now_ < 3 && lists_.holes.may_take(place, 0);
}

AMT_HD inline bool GrammarState::may_hole_of(int program) const {
  return is_in_context() && (lists_.holes.may_take(kHoleBegins, program) || lists_.holes.may_take(kHoleEnds, program));
}

AMT_HD inline bool GrammarState::may_fill() const {
  if (is_any_open() || last_ != Last::kEvent) return false;
  if (is_in_context()) return !lists_.holes.missing().is_any() && !lists_.holes.is_empty();
  return is_in_fill() && num_parts_left_ > 0;
}

AMT_HD inline bool GrammarState::may_any_play(int64_t steps) const {
  Bits<kNumPrograms> programs = lists_.holes.missing_at(now_ + steps).set() & limits().programs;
  if (num_programs_ >= limits().max_programs) programs &= has_begun_ | limits().required_programs;
  return programs.any();
}

AMT_HD inline bool GrammarState::may_close(int program, int pitch) const {
  if (!is_last_step_) return true;
  if (is_any_open_below(program) || (pitch > 0 && lists_.sounding[program].any_below(pitch))) return false;
  return is_open(program);
}

}  // namespace amt::midi
