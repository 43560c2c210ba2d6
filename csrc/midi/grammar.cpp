#include "grammar.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace amt::midi {

Grammar::Grammar(Vocabulary vocabulary, Constraints constraints)
    : vocabulary_(std::move(vocabulary)), constraints_(constraints) {
  if (!vocabulary_.config().is_score) constraints_.programs &= std::bitset<kNumPrograms>(1);
  if (constraints_.programs.none()) throw std::invalid_argument("programs leaves no instrument to play");
  if (constraints_.pitch_classes.none()) throw std::invalid_argument("pitch_classes leaves no pitch to play");
  if (constraints_.max_polyphony < 1) throw std::invalid_argument("max_polyphony must be at least 1");
  if (constraints_.max_steps < 1) throw std::invalid_argument("max_steps must be at least 1");
}

GrammarState::GrammarState(const Grammar& grammar) : grammar_(&grammar), program_(is_score() ? -1 : 0) {}

bool GrammarState::is_allowed(int id) const {
  if (id < 0 || id >= vocabulary().size()) return false;
  const Event event = vocabulary().event(id);
  switch (stage_) {
    case Stage::kStart:
      return event.kind == Kind::kBos;
    case Stage::kTimeSignature:
      return event.kind == Kind::kTimeSignature &&
             (constraints().time_signature_index < 0 || event.value == constraints().time_signature_index);
    case Stage::kTempo:
      return event.kind == Kind::kTempo && (constraints().tempo_index < 0 || event.value == constraints().tempo_index);
    case Stage::kBody:
      return is_body_allowed(event);
    case Stage::kFinished:
      return false;
  }
  return false;
}

bool GrammarState::is_body_allowed(Event event) const {
  if (last_ == Last::kVelocity) return event.kind == Kind::kNoteOn && may_note_on(program_, event.value);
  switch (event.kind) {
    case Kind::kPad:
    case Kind::kBos:
      return false;
    case Kind::kEos:
      return may_eos();
    case Kind::kNoteOn:
      return velocity_ >= 0 && program_ >= 0 && may_note_on(program_, event.value);
    case Kind::kNoteOff:
      return program_ >= 0 && may_note_off(event.value);
    case Kind::kTimeShift:
      return may_time_shift(event.value);
    case Kind::kVelocity:
      return program_ >= 0 && event.value != velocity_ && may_any_note_on(program_);
    case Kind::kProgram:
      return may_program(event.value);
    case Kind::kTempo:
    case Kind::kTimeSignature:
      return may_change(event.kind, event.value);
    case Kind::kPedalOff:
      return program_ >= 0 && program_ != kDrums && has_pedal_[program_] && phase_of(program_) <= kOffs &&
             may_close(program_, kNumPitches);
    case Kind::kPedalOn:
      return program_ >= 0 && may_pedal_on(program_);
  }
  return false;
}

// Whether the note may start now in the group of its program, be it the current one or the next.
bool GrammarState::may_note_on(int program, int pitch) const {
  if (now_ >= constraints().max_steps || !constraints().programs[program]) return false;
  if (phase_of(program) == kOns && pitch <= last_pitch_) return false;
  if (program == kDrums) return true;
  return !sounding_[program][pitch] && num_sounding_ < constraints().max_polyphony &&
         constraints().pitch_classes[pitch % 12];
}

bool GrammarState::may_any_note_on(int program) const {
  for (int pitch = 0; pitch < kNumPitches; ++pitch) {
    if (may_note_on(program, pitch)) return true;
  }
  return false;
}

bool GrammarState::may_note_off(int pitch) const {
  const Phase phase = phase_of(program_);
  return program_ != kDrums && sounding_[program_][pitch] && phase <= kOffs &&
         (phase != kOffs || pitch > last_pitch_) && may_close(program_, pitch);
}

bool GrammarState::may_time_shift(int64_t steps) const {
  if (is_dangling() || last_ == Last::kShift || gap_ + steps > vocabulary().config().max_gap_steps) return false;
  const int64_t then = now_ + steps;
  return then < constraints().max_steps || (then == constraints().max_steps && is_any_open());
}

bool GrammarState::may_change(Kind kind, int index) const {
  const bool is_tempo = kind == Kind::kTempo;
  if (!is_after_shift() && num_changes_now_ == 0) return false;
  if (group_ >= 0 || is_dangling() || now_ >= constraints().max_steps) return false;
  if (num_changes_now_ >= (is_tempo ? 2 : 1)) return false;
  if ((is_tempo ? constraints().tempo_index : constraints().time_signature_index) >= 0) return false;
  return index != (is_tempo ? tempo_ : time_signature_);
}

bool GrammarState::may_pedal_on(int program) const {
  return program != kDrums && !has_pedal_[program] && phase_of(program) <= kPedalUp &&
         constraints().programs[program] && now_ < constraints().max_steps;
}

bool GrammarState::may_program(int program) const {
  if (is_dangling() || program == program_ || program <= group_) return false;
  if (now_ >= constraints().max_steps) return may_close(program, -1);
  return is_open(program) || may_pedal_on(program) || may_any_note_on(program);
}

bool GrammarState::may_eos() const { return !is_any_open() && last_ == Last::kEvent; }

bool GrammarState::may_close(int program, int pitch) const {
  if (now_ < constraints().max_steps) return true;
  for (int lower = 0; lower < program; ++lower) {
    if (is_open(lower)) return false;
  }
  for (int lower = 0; lower < pitch; ++lower) {
    if (sounding_[program][lower]) return false;
  }
  return is_open(program);
}

// Whether all that is open can still be closed at this step, by ascending program and pitch.
bool GrammarState::can_close_now() const {
  for (int program = 0; program <= group_; ++program) {
    if (!is_open(program)) continue;
    if (program < group_ || phase_ > kOffs) return false;
    for (int pitch = 0; phase_ == kOffs && pitch <= last_pitch_; ++pitch) {
      if (sounding_[program][pitch]) return false;
    }
  }
  return true;
}

int64_t GrammarState::tokens_to_close() const {
  if (stage_ == Stage::kFinished) return 0;
  if (stage_ != Stage::kBody) {
    const int header = stage_ == Stage::kTempo ? 1 : stage_ == Stage::kTimeSignature ? 2 : is_score() ? 3 : 1;
    return header + 1;
  }
  int64_t note = 0;
  if (last_ == Last::kVelocity) note = 3;
  if (last_ == Last::kProgram && !is_open(program_)) note = 4;
  if (is_after_shift() && !is_any_open()) note = 5;
  const bool needs_shift = note > 0 || !can_close_now();
  int64_t tokens = note + needs_shift + 1;
  for (int program = 0; program < kDrums; ++program) {
    if (!is_open(program)) continue;
    tokens += num_sounding_of_[program] + has_pedal_[program] + (needs_shift || program != group_);
  }
  return tokens;
}

void GrammarState::allowed(uint8_t* mask, int64_t remaining) const {
  const int size = vocabulary().size();
  for (int id = 0; id < size; ++id) mask[id] = is_allowed(id);
  // A token adds at most 8 to the way to the end.
  if (remaining < 0 || remaining > tokens_to_close() + 16) return;
  std::vector<uint8_t> within(size, 0);
  bool is_any = false;
  for (int id = 0; id < size; ++id) {
    if (!mask[id]) continue;
    GrammarState next = *this;
    next.apply(vocabulary().event(id));
    within[id] = next.tokens_to_close() <= remaining - 1;
    is_any |= within[id] != 0;
  }
  if (is_any) std::copy(within.begin(), within.end(), mask);
}

void GrammarState::advance(int id) {
  if (!is_allowed(id)) throw std::invalid_argument("the grammar does not allow token " + std::to_string(id) + " here");
  apply(vocabulary().event(id));
}

void GrammarState::apply(Event event) {
  auto enter = [this](Phase phase) {
    group_ = program_;
    phase_ = phase;
  };
  last_ = Last::kEvent;
  switch (event.kind) {
    case Kind::kPad:
      break;
    case Kind::kBos:
      stage_ = is_score() ? Stage::kTimeSignature : Stage::kBody;
      return;
    case Kind::kEos:
      stage_ = Stage::kFinished;
      return;
    case Kind::kNoteOn:
      enter(kOns);
      last_pitch_ = event.value;
      if (program_ != kDrums) {
        sounding_[program_][event.value] = true;
        ++num_sounding_of_[program_];
        ++num_sounding_;
      }
      break;
    case Kind::kNoteOff:
      enter(kOffs);
      last_pitch_ = event.value;
      sounding_[program_][event.value] = false;
      --num_sounding_of_[program_];
      --num_sounding_;
      break;
    case Kind::kTimeShift:
      last_ = event.value == vocabulary().config().max_time_shift ? Last::kLargestShift : Last::kShift;
      now_ += event.value;
      gap_ += event.value;
      group_ = -1;
      phase_ = kNoPhase;
      num_changes_now_ = 0;
      return;
    case Kind::kVelocity:
      // The group has begun: only its note_on may follow.
      last_ = Last::kVelocity;
      velocity_ = event.value;
      if (group_ != program_) enter(kPedalDown);
      break;
    case Kind::kProgram:
      last_ = Last::kProgram;
      program_ = event.value;
      group_ = program_;
      phase_ = kNoPhase;
      break;
    case Kind::kTempo:
      tempo_ = event.value;
      if (stage_ == Stage::kTempo) {
        stage_ = Stage::kBody;
        return;
      }
      num_changes_now_ = 2;
      break;
    case Kind::kTimeSignature:
      time_signature_ = event.value;
      if (stage_ == Stage::kTimeSignature) {
        stage_ = Stage::kTempo;
        return;
      }
      num_changes_now_ = 1;
      break;
    case Kind::kPedalOff:
      enter(kPedalUp);
      has_pedal_[program_] = false;
      break;
    case Kind::kPedalOn:
      enter(kPedalDown);
      has_pedal_[program_] = true;
      break;
  }
  gap_ = 0;
}

}  // namespace amt::midi
