// Its twin is amt/midi/reference/grammar.py.
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
  if (is_any_open_below(program) || (pitch > 0 && is_any_sounding_below(program, pitch))) return false;
  return is_open(program);
}

// Whether all that is open can still be closed at this step, by ascending program and pitch.
bool GrammarState::can_close_now() const {
  if (group_ < 0) return true;
  if (is_any_open_below(group_)) return false;
  if (!is_open(group_)) return true;
  return phase_ < kOffs || (phase_ == kOffs && !is_any_sounding_below(group_, last_pitch_ + 1));
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
  // Each open program is named, but for the one that is being played.
  const bool is_named = !needs_shift && group_ >= 0 && is_open(group_);
  const auto num_pedals = static_cast<int64_t>(has_pedal_.count());
  const auto num_programs = static_cast<int64_t>(open_programs().count());
  return note + needs_shift + 1 + num_sounding_ + num_pedals + num_programs - is_named;
}

// The same as is_body_allowed for every id, with what a kind's tokens have in common asked once.
void GrammarState::body_allowed(uint8_t* mask) const {
  const Vocabulary& ids = vocabulary();
  const auto allow = [mask](int first, int num, auto is_allowed_value) {
    for (int value = 0; value < num; ++value) mask[first + value] = is_allowed_value(value);
  };
  if (program_ >= 0 && velocity_ >= 0) {
    allow(ids.note_on(0), kNumPitches, [this](int pitch) { return may_note_on(program_, pitch); });
  }
  if (last_ == Last::kVelocity) return;
  mask[Vocabulary::kEosId] = may_eos();
  if (program_ >= 0) {
    if (has_notes_[program_]) {
      allow(ids.note_off(0), kNumPitches, [this](int pitch) { return may_note_off(pitch); });
    }
    if (may_any_note_on(program_)) {
      allow(ids.velocity(0), ids.config().num_velocities, [this](int bin) { return bin != velocity_; });
    }
  }
  allow(ids.time_shift(1), ids.config().max_time_shift, [this](int value) { return may_time_shift(value + 1); });
  if (!is_score()) return;
  if (!is_dangling()) allow(ids.program(0), kNumPrograms, [this](int program) { return may_program(program); });
  for (const Kind kind : {Kind::kTempo, Kind::kTimeSignature}) {
    if (!may_change(kind, kNone)) continue;
    const bool is_tempo = kind == Kind::kTempo;
    const int first = is_tempo ? ids.tempo(0) : ids.time_signature(0);
    const int end = is_tempo ? ids.time_signature(0) : ids.pedal_off();
    allow(first, end - first, [this, kind](int index) { return may_change(kind, index); });
  }
  for (const int id : {ids.pedal_off(), ids.pedal_on()}) mask[id] = is_body_allowed(ids.event(id));
}

int64_t GrammarState::tokens_to_close_after(Event event) const {
  GrammarState next = *this;
  next.apply(event);
  return next.tokens_to_close();
}

void GrammarState::allowed(uint8_t* mask, int64_t remaining) const {
  const int size = vocabulary().size();
  if (stage_ == Stage::kBody) {
    std::fill_n(mask, size, uint8_t{0});
    body_allowed(mask);
  } else {
    for (int id = 0; id < size; ++id) mask[id] = is_allowed(id);
  }
  // A token adds at most 8 to the way to the end.
  if (remaining < 0 || remaining > tokens_to_close() + 16) return;
  // All tokens of a kind leave the same way, but for those that close a note or name an open program.
  std::array<int64_t, kNumKinds> ways;
  ways.fill(-1);
  constexpr uint8_t kInTime = 2;
  bool is_any = false;
  for (int id = 0; id < size; ++id) {
    if (!mask[id]) continue;
    const Event event = vocabulary().event(id);
    const bool is_special = event.kind == Kind::kNoteOff || (event.kind == Kind::kProgram && is_open(event.value));
    int64_t& way = ways[static_cast<size_t>(event.kind)];
    const int64_t tokens = !is_special && way >= 0 ? way : tokens_to_close_after(event);
    if (!is_special) way = tokens;
    if (tokens > remaining - 1) continue;
    mask[id] = kInTime;
    is_any = true;
  }
  for (int id = 0; id < size; ++id) mask[id] = is_any ? mask[id] == kInTime : mask[id];
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
        has_notes_[program_] = true;
        ++num_sounding_;
      }
      break;
    case Kind::kNoteOff:
      enter(kOffs);
      last_pitch_ = event.value;
      sounding_[program_][event.value] = false;
      has_notes_[program_] = sounding_[program_].any();
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
