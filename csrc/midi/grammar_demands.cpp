// What shall come: notes after a rest, programs that have not played, the end not before its time. They narrow what the
// grammar allows, and never to nothing. docs/tokens.md, "Grammar".
#include <algorithm>

#include "grammar.h"

namespace amt::midi {

namespace {

// The tokens at most that a program which has not played yet needs until its note is over, and some to spare.
constexpr int64_t kTokensToEnter = 7, kTokensToSpare = 16;
constexpr int kHeld = 8;  // what may not come yet ranks behind all the rest

}  // namespace

bool GrammarState::must_enter(int64_t steps) const {
  const int64_t to_enter = steps_to_enter();
  if (is_in_fill()) return now_ + steps + to_enter > std::min(holes_.next_change(now_), fill_end_);
  if (now_ + steps >= constraints().entry_by_step) return true;
  // The tempo may become slower.
  return !has_room(steps + to_enter) || elapsed_us_ + steps * step_us_ + to_enter * rules().slowest_step_us() >
                                            constraints().max_us * rules().us_scale();
}

int64_t GrammarState::room() const {
  return tokens_to_close() + kTokensToEnter * static_cast<int64_t>(missing().count()) + kTokensToSpare;
}

int GrammarState::goal(int64_t remaining) const {
  const std::bitset<kNumPrograms> absent = missing();
  if (const auto num_missing = static_cast<int64_t>(absent.count()); num_missing > 0) {
    if (must_enter(0) || (remaining >= 0 && remaining < room())) {
      for (int program = std::max(group_, 0); program < kNumPrograms; ++program) {
        if (absent[program] && may_any_note_on(program)) return program;
      }
      return kWait;
    }
  }
  const bool is_rest_over = num_sounding_ == 0 && now_ - last_sound_ >= constraints().max_rest_steps;
  return is_rest_over || num_fillers_ >= constraints().max_filler_tokens ? kAnyNote : kNoGoal;
}

bool GrammarState::is_held(Event event) const {
  if (event.kind == Kind::kEos || event.kind == Kind::kFill) {
    return is_early(now_) || missing().any() || (rules().limits_rests() && has_played_.none());
  }
  if (event.kind != Kind::kTimeShift) return false;
  if (num_sounding_ == 0 && now_ + event.value - last_sound_ > constraints().max_rest_steps) return true;
  return event.value > 1 && missing().any() && must_enter(event.value - 1);
}

int GrammarState::rank(Event event, int goal, bool is_tight) const {
  const int held = is_held(event) ? kHeld : 0;
  if (goal == kNoGoal) return held;
  if (event.kind == Kind::kSection || event.kind == Kind::kBars || event.kind == Kind::kChord) {
    return is_tight ? 5 : 0;  // no time passes
  }
  const bool is_shift = event.kind == Kind::kTimeShift;
  const bool is_note = event.kind == Kind::kNoteOn || event.kind == Kind::kVelocity;
  const bool is_program = event.kind == Kind::kProgram;
  const bool closes = event.kind == Kind::kNoteOff || (is_program && has_notes_[event.value]);
  if (goal == kAnyNote) {
    const bool is_end = event.kind == Kind::kEos || event.kind == Kind::kFill;
    if (is_note || is_end || event.kind == Kind::kNoteOff) return held;
    if (is_program && may_any_note_on(event.value)) return held;
    return held + (closes ? (is_full() ? 0 : 1) : is_shift ? 2 : 5);
  }
  if ((is_note && program_ == goal) || (is_program && event.value == goal)) return held;
  if (closes) return held + (is_full() ? 1 : 4);
  return held + (is_shift ? (event.value == 1 ? 2 : 3) : 5);
}

int GrammarState::longest_free_shift() const {
  // A shift is held if a shorter one is.
  int free = 0, held = vocabulary().config().max_time_shift + 1;
  if (!is_held({Kind::kTimeShift, held - 1})) return held - 1;
  while (held - free > 1) {
    const int middle = (free + held) / 2;
    (is_held({Kind::kTimeShift, middle}) ? held : free) = middle;
  }
  return free;
}

void GrammarState::keep_demanded(uint8_t* mask, int64_t remaining) const {
  const int size = vocabulary().size();
  const int aim = goal(remaining);
  if (aim == kNoGoal) {
    // What is held goes, unless nothing else is left.
    const int held_shifts = vocabulary().time_shift(longest_free_shift() + 1);
    const int end_of_shifts = vocabulary().time_shift(vocabulary().config().max_time_shift + 1);
    // In a fill either `fill` or `eos` is allowed; `fill` is the last id.
    const int end = is_in_fill() && mask[vocabulary().fill()] ? vocabulary().fill() : Vocabulary::kEosId;
    const bool holds_end = mask[end] && is_held({Kind::kEos, 0});
    if (!holds_end && held_shifts == end_of_shifts) return;
    const auto is_set = [](uint8_t allowed) { return allowed != 0; };
    const bool is_end_last = end == size - 1;
    const bool is_any_free = std::any_of(mask + Vocabulary::kEosId + 1, mask + held_shifts, is_set) ||
                             std::any_of(mask + end_of_shifts, mask + size - is_end_last, is_set) ||
                             (mask[end] && !holds_end);
    if (!is_any_free) return;
    if (holds_end) mask[end] = 0;
    std::fill(mask + held_shifts, mask + end_of_shifts, uint8_t{0});
    return;
  }
  const bool is_tight = remaining >= 0 && remaining < room();
  constexpr uint8_t kFarthest = 2 * kHeld;
  uint8_t best = kFarthest;
  for (int id = 0; id < size; ++id) {
    mask[id] = mask[id] ? static_cast<uint8_t>(rank(vocabulary().event(id), aim, is_tight)) : kFarthest;
    best = std::min(best, mask[id]);
  }
  for (int id = 0; id < size; ++id) mask[id] = best < kFarthest && mask[id] == best;
}

}  // namespace amt::midi
