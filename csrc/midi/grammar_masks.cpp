// Masks of the grammar on the CPU: what GrammarState::distance says of each token, for all at once.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "grammar_state.h"

namespace amt::midi {
namespace {

template <typename Visit>
void each_event(const VocabularyIds& ids, Visit visit) {
  for (int index = 0; index < kNumKinds; ++index) {
    const Kind kind = static_cast<Kind>(index);
    const int first = ids.first_of(kind), end = ids.end_of(kind), value = VocabularyIds::first_value(kind);
    for (int id = first; id < end; ++id) visit(id, Event{kind, value + id - first});
  }
}

}  // namespace

void GrammarState::advance(int id) {
  if (!take(id)) throw std::invalid_argument("the grammar does not allow token " + std::to_string(id) + " here");
}

void GrammarState::allowed(uint8_t* mask, int64_t remaining) const {
  const int size = ids().size();
  if (!is_past_header()) {
    for (int id = 0; id < size; ++id) mask[id] = is_allowed(id);
  } else {
    std::fill_n(mask, size, uint8_t{0});
    if (stage_ == Stage::kPlan) plan_allowed(mask);
    if (stage_ == Stage::kBody || may_end_plan()) body_allowed(mask);
  }
  const Aim step = aim(remaining);
  if (step.asks_time) keep_in_time(mask, remaining);
  if (step.has_demands) keep_demanded(mask, step);
}

void GrammarState::plan_allowed(uint8_t* mask) const {
  for (int id = ids().first_of(Kind::kSection); id < ids().end_of(Kind::kBars); ++id) {
    mask[id] = is_plan_allowed(ids().event(id));
  }
}

// The same as is_body_allowed for every id, with what a kind's tokens have in common asked once.
void GrammarState::body_allowed(uint8_t* mask) const {
  const auto allow = [this, mask](Kind kind, auto is_allowed_value) {
    const int first = ids().first_of(kind), end = ids().end_of(kind), value = VocabularyIds::first_value(kind);
    for (int id = first; id < end; ++id) mask[id] = is_allowed_value(value + id - first);
  };
  if (program_ >= 0 && velocity() >= 0) {
    allow(Kind::kNoteOn, [pitches = startable(program_)](int pitch) { return pitches[pitch]; });
  }
  if (last_ == Last::kVelocity) return;
  mask[VocabularyIds::kEosId] = may_eos();
  if (program_ >= 0) {
    if (has_notes_[program_]) allow(Kind::kNoteOff, [this](int pitch) { return may_note_off(pitch); });
    if (may_any_note_on(program_)) {
      allow(Kind::kVelocity, [in_force = velocity()](int bin) { return bin != in_force; });
    }
  }
  if (!is_dangling() && last_ != Last::kShift) {
    const int first = ids().first_of(Kind::kTimeShift);
    const auto longest = static_cast<int>(std::min<int64_t>(ids().max_time_shift, steps_to_deadline()));
    for (int steps = 1; steps <= longest; ++steps) mask[first + steps - 1] = may_time_shift(steps);
  }
  if (!is_score()) return;
  if (!is_dangling()) allow(Kind::kProgram, [this](int program) { return may_program(program); });
  for (const Kind kind : {Kind::kTempo, Kind::kTimeSignature}) {
    if (may_change(kind, kNone)) allow(kind, [this, kind](int index) { return may_change(kind, index); });
  }
  for (const Kind kind : {Kind::kPedalOff, Kind::kPedalOn}) {
    allow(kind, [this, kind](int) { return is_body_allowed({kind, 0}); });
  }
  if (edit_ == Edit::kNone) return;
  allow(Kind::kHole, [this](int place) { return may_hole(place); });
  allow(Kind::kFill, [this](int) { return may_fill(); });
}

void GrammarState::keep_in_time(uint8_t* mask, int64_t remaining) const {
  constexpr uint8_t kInTime = 2;
  bool is_any = false;
  // All tokens of a kind leave the same way, but for those that close a note, name an open program or say a length.
  Kind kind_before = Kind::kPad;
  bool is_known = false, kind_is_in_time = false;
  each_event(ids(), [&](int id, Event event) {
    if (!mask[id]) return;
    if (event.kind != kind_before) is_known = false;
    kind_before = event.kind;
    const bool is_special = event.kind == Kind::kNoteOff || event.kind == Kind::kBars ||
                            (event.kind == Kind::kProgram && is_open(event.value));
    const bool is_soon = !is_special && is_known ? kind_is_in_time : is_in_time(event, remaining);
    if (!is_special) {
      is_known = true;
      kind_is_in_time = is_soon;
    }
    if (!is_soon) return;
    mask[id] = kInTime;
    is_any = true;
  });
  const int size = ids().size();
  for (int id = 0; id < size; ++id) mask[id] = is_any ? mask[id] == kInTime : mask[id];
}

int GrammarState::longest_free_shift() const {
  // A shift is held if a shorter one is.
  int free = 0, held = ids().max_time_shift + 1;
  if (!is_held({Kind::kTimeShift, held - 1})) return held - 1;
  while (held - free > 1) {
    const int middle = (free + held) / 2;
    (is_held({Kind::kTimeShift, middle}) ? held : free) = middle;
  }
  return free;
}

void GrammarState::keep_demanded(uint8_t* mask, const Aim& step) const {
  const int size = ids().size();
  if (step.goal == kNoGoal) {
    // What is held goes, unless nothing else is left.
    const int held_shifts = ids().id(Kind::kTimeShift, longest_free_shift() + 1);
    const int end_of_shifts = ids().end_of(Kind::kTimeShift), fill = ids().first_of(Kind::kFill);
    // In a fill either `fill` or `eos` is allowed; `fill` is the last id.
    const int end = is_in_fill() && mask[fill] ? fill : VocabularyIds::kEosId;
    const bool holds_end = mask[end] && is_held({Kind::kEos, 0});
    if (!holds_end && held_shifts == end_of_shifts) return;
    const auto is_set = [](uint8_t allowed) { return allowed != 0; };
    const bool is_end_last = end == size - 1;
    const bool is_any_free = std::any_of(mask + VocabularyIds::kEosId + 1, mask + held_shifts, is_set) ||
                             std::any_of(mask + end_of_shifts, mask + size - is_end_last, is_set) ||
                             (mask[end] && !holds_end);
    if (!is_any_free) return;
    if (holds_end) mask[end] = 0;
    std::fill(mask + held_shifts, mask + end_of_shifts, uint8_t{0});
    return;
  }
  int best = kForbidden;
  each_event(ids(), [&](int id, Event event) {
    mask[id] = mask[id] ? static_cast<uint8_t>(rank(event, step)) : kForbidden;
    best = std::min<int>(best, mask[id]);
  });
  for (int id = 0; id < size; ++id) mask[id] = best < kForbidden && mask[id] == best;
}

}  // namespace amt::midi
