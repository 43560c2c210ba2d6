// State features after some tokens, for host and device: plain data, with lists in memory that somebody else owns.
// Takes any ids; what no canonical sequence has does something simple and never fails. docs/features.md is the
// definition, amt/midi/reference/features.py the twin in plain Python. `FeatureState` in state_features.h owns its
// lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "bits.h"
#include "feature_rules.h"
#include "holes.h"
#include "plan.h"

namespace amt::midi {

class FeatureTrack {
 public:
  // The bytes of lists with room for so many tokens; a multiple of 8.
  AMT_HD static size_t list_bytes(int64_t capacity) {
    const size_t bytes =
        static_cast<size_t>(capacity) * (sizeof(SoundingNote) + sizeof(ContextEvent) + sizeof(SoundingKey)) +
        static_cast<size_t>(planned(capacity)) * sizeof(PlannedChord);
    return (bytes + 7) / 8 * 8;
  }

  // num_bars: how many bars the piece is to have; 0: unknown. lists: 8-byte aligned, of list_bytes(capacity).
  AMT_HD FeatureTrack(const FeatureRules& rules, int64_t num_bars, void* lists, int64_t capacity);
  // Makes a track that was copied as bytes, its lists too, belong to rules and lists that may be somewhere else now.
  AMT_HD void bind(const FeatureRules& rules, void* lists, int64_t capacity);
  // Copies what its lists have to others, which have room for as many tokens as it has taken, and has those from then
  // on. A copy that is to go its own way is `copy = track; copy.move_lists_to(its own, ...)`.
  AMT_HD void move_lists_to(void* lists, int64_t capacity);

  AMT_HD bool is_full() const { return num_tokens_ == capacity_; }
  // Does nothing where it is full.
  AMT_HD void advance(int id);
  // Writes the entries of the last token, by ascending column; at most rules.max_entries. Returns their end.
  AMT_HD FeatureEntry* write(FeatureEntry* out) const;

  AMT_HD int64_t num_tokens() const { return num_tokens_; }  // advanced by
  AMT_HD int64_t now() const { return time_.now; }           // the step
  // How many bars have begun, but one that has lasted for no time yet.
  AMT_HD int64_t num_bars_begun() const { return time_.num_bars_begun(); }

 private:
  // Steps and bars.
  struct Time {
    int64_t now = 0, bar = 0, step_in_bar = 0;
    int64_t bar_steps;

    AMT_HD int64_t num_bars_begun() const { return bar + (step_in_bar > 0 ? 1 : 0); }
    AMT_HD void move(int64_t steps) {
      now += steps;
      step_in_bar += steps;
      if (step_in_bar < bar_steps) return;
      bar += step_in_bar / bar_steps;
      step_in_bar %= bar_steps;
    }
    // A metre begins a bar, even inside of one.
    AMT_HD void begin_metre(int64_t steps) {
      bar = num_bars_begun();
      step_in_bar = 0;
      bar_steps = steps;
    }
  };
  // program * kNumPitches + pitch
  using SoundingKey = int32_t;
  // A key and the step where its note began, as one number.
  class SoundingNote {
   public:
    SoundingNote() = default;
    AMT_HD SoundingNote(int64_t start, SoundingKey key)
        : bits_(static_cast<uint64_t>(key) << 48 | static_cast<uint64_t>(start)) {}
    AMT_HD SoundingKey key() const { return static_cast<SoundingKey>(bits_ >> 48); }
    AMT_HD int64_t start() const { return static_cast<int64_t>(bits_ & ((uint64_t{1} << 48) - 1)); }
    AMT_HD int program() const { return key() / kNumPitches; }
    AMT_HD int pitch() const { return key() % kNumPitches; }

   private:
    uint64_t bits_;
  };
  struct PlannedChord {
    int16_t end;  // its half bar
    int8_t section, chord;
    bool begins_section;
  };
  // What a fill hears of its context: a note_on, a note_off or a time_signature, and its step.
  struct ContextEvent {
    int64_t step;
    Kind kind;
    uint8_t value, program;
  };
  enum class Edit : uint8_t { kNone, kContext, kFill };  // which part of an edit this is, if it is one

  AMT_HD static SoundingKey key_of(const SoundingNote& note) { return note.key(); }
  AMT_HD static SoundingKey key_of(SoundingKey key) { return key; }
  // The place of the first of `num` items whose key is at least `key`.
  template <typename Item>
  AMT_HD static int64_t find(const Item* items, int64_t num, SoundingKey key) {
    int64_t first = 0;
    while (num > 0) {
      const int64_t half = num / 2;
      const bool is_below = key_of(items[first + half]) < key;
      first = is_below ? first + half + 1 : first;
      num = is_below ? num - half - 1 : half;
    }
    return first;
  }
  template <typename Item>
  AMT_HD static void insert(Item* items, int64_t& num, int64_t place, Item item) {
    for (int64_t i = num++; i > place; --i) items[i] = items[i - 1];
    items[place] = item;
  }
  template <typename Item>
  AMT_HD static void erase(Item* items, int64_t& num, int64_t place) {
    --num;
    for (int64_t i = place; i < num; ++i) items[i] = items[i + 1];
  }

  // How many chords a plan has at most. A multiple of 4, for the alignment of what lies behind it.
  AMT_HD static int64_t planned(int64_t capacity) { return smaller<int64_t>((capacity + 3) / 4 * 4, kMaxPlanHalfBars); }

  AMT_HD int own_program() const { return program_ == kNumPrograms ? 0 : program_; }
  AMT_HD void hear(int program) {
    heard_.set(program);
    last_note_on_[program] = time_.now;
  }
  AMT_HD void note_on(int pitch);
  AMT_HD void note_off(int pitch);
  AMT_HD void count(int pitch, int change);
  AMT_HD void keep(Event event);
  AMT_HD void begin_metre(int index);
  AMT_HD void begin_part();
  // How many bars the music has up to a step in a fill.
  AMT_HD int64_t num_bars_up_to(int64_t step) const;
  // Lets time pass; in a fill, the context goes by.
  AMT_HD void shift(int64_t steps);
  AMT_HD void move(int64_t steps);
  AMT_HD void take_plan(Event event);
  // Goes on to the chord of the plan that is in force now, and finds the end of its section.
  AMT_HD void follow_plan();
  AMT_HD int planned_half_bars() const { return num_planned_ > 0 ? plan_[num_planned_ - 1].end : 0; }
  AMT_HD int64_t half_bar() const { return 2 * time_.now / plan_bar_steps_; }
  // The bar; while the plan is written, that which it has come to.
  AMT_HD int64_t shown_bar() const { return has_begun_ ? time_.bar : planned_half_bars() / 2; }
  AMT_HD int16_t age(int64_t start) const {
    return static_cast<int16_t>(smaller<int64_t>(time_.now - start, FeatureRules::kLargestNumber));
  }
  AMT_HD static int left_column(int64_t bars);
  AMT_HD FeatureEntry* write_place(FeatureEntry* out) const;
  AMT_HD FeatureEntry* write_programs(FeatureEntry* out) const;
  AMT_HD FeatureEntry* write_pitches(FeatureEntry* out) const;
  AMT_HD FeatureEntry* write_plan(FeatureEntry* out) const;

  const FeatureRules* rules_;
  // The lists.
  SoundingNote* sounding_;         // by ascending key
  ContextEvent* context_;          // the notes of a context, and all time signatures
  PlannedChord* plan_;             // the plan so far
  SoundingKey* context_sounding_;  // of the context's notes that sound, ascending, in a fill
  int64_t capacity_;
  int64_t num_sounding_ = 0, num_context_ = 0, num_context_sounding_ = 0;
  int num_planned_ = 0;

  int64_t num_bars_, num_tokens_ = 0;
  Time time_;
  int metre_ = FeatureRules::kNumMetres, program_ = kNumPrograms, velocity_;
  Bits<kNumPrograms> heard_;
  int64_t last_note_on_[kNumPrograms];  // of the programs that were heard
  Bits<kNumPitches> pitches_;           // that sound
  uint16_t pitch_counts_[kNumPitches] = {};
  Edit edit_ = Edit::kNone;
  int64_t fill_end_ = 0;  // of the part that is being filled
  HoleTrack holes_;
  int64_t num_heard_ = 0;        // events of the context up to now, in a fill
  bool has_begun_ = false;       // the music: no plan may come any more
  int section_ = kNumSections;   // the last one that was said
  bool begins_section_ = false;  // and no chord since
  int half_bars_ = 0;            // that the next chord of the plan lasts
  int64_t plan_bar_steps_ = 1;   // of the bars that the plan counts in
  int place_ = 0;                // in the plan, of the chord in force
  int64_t section_end_ = 0;      // the half bar at which its section ends
};

static_assert(std::is_trivially_copyable_v<FeatureTrack>, "tracks are kept in blocks of memory that may move");

AMT_HD inline FeatureTrack::FeatureTrack(const FeatureRules& rules, int64_t num_bars, void* lists, int64_t capacity)
    : num_bars_(num_bars), velocity_(rules.ids.num_velocities) {
  time_.bar_steps = int64_t{4} * rules.ids.steps_per_beat;
  bind(rules, lists, capacity);
}

AMT_HD inline void FeatureTrack::bind(const FeatureRules& rules, void* lists, int64_t capacity) {
  rules_ = &rules;
  capacity_ = capacity;
  context_ = static_cast<ContextEvent*>(lists);
  sounding_ = reinterpret_cast<SoundingNote*>(context_ + capacity);
  plan_ = reinterpret_cast<PlannedChord*>(sounding_ + capacity);
  context_sounding_ = reinterpret_cast<SoundingKey*>(plan_ + planned(capacity));
}

AMT_HD inline void FeatureTrack::move_lists_to(void* lists, int64_t capacity) {
  const ContextEvent* const context = context_;
  const SoundingNote* const sounding = sounding_;
  const PlannedChord* const plan = plan_;
  const SoundingKey* const context_sounding = context_sounding_;
  bind(*rules_, lists, capacity);
  for (int64_t i = 0; i < num_context_; ++i) context_[i] = context[i];
  for (int64_t i = 0; i < num_sounding_; ++i) sounding_[i] = sounding[i];
  for (int i = 0; i < num_planned_; ++i) plan_[i] = plan[i];
  for (int64_t i = 0; i < num_context_sounding_; ++i) context_sounding_[i] = context_sounding[i];
}

AMT_HD inline void FeatureTrack::advance(int id) {
  if (is_full()) return;
  ++num_tokens_;
  const Event event = rules_->ids.event(id);
  switch (event.kind) {
    case Kind::kSection:
    case Kind::kBars:
    case Kind::kChord:
      take_plan(event);
      return;
    case Kind::kPad:
    case Kind::kBos:
    case Kind::kEos:
    case Kind::kTempo:
    case Kind::kTimeSignature:
      break;
    default:
      if (!has_begun_) {
        has_begun_ = true;
        follow_plan();
      }
  }
  switch (event.kind) {
    case Kind::kNoteOn:
      note_on(event.value);
      break;
    case Kind::kNoteOff:
      note_off(event.value);
      break;
    case Kind::kTimeShift:
      shift(edit_ == Edit::kFill ? smaller<int64_t>(event.value, fill_end_ - time_.now) : event.value);
      break;
    case Kind::kVelocity:
      velocity_ = event.value;
      break;
    case Kind::kProgram:
      program_ = event.value;
      break;
    case Kind::kTimeSignature:
      if (edit_ != Edit::kFill) begin_metre(event.value);
      break;
    case Kind::kEdit:
      if (edit_ == Edit::kNone) edit_ = Edit::kContext;
      break;
    case Kind::kHole:
      if (edit_ == Edit::kContext) holes_.take(time_.now, event.value, own_program());
      break;
    case Kind::kFill:
      if (edit_ != Edit::kNone) begin_part();
      break;
    default:
      break;
  }
  const bool is_note = event.kind == Kind::kNoteOn || event.kind == Kind::kNoteOff;
  if ((is_note && edit_ == Edit::kContext) || (event.kind == Kind::kTimeSignature && edit_ != Edit::kFill)) keep(event);
}

// Keeps an event of the context for the fill.
AMT_HD inline void FeatureTrack::keep(Event event) {
  context_[num_context_++] = {time_.now, event.kind, static_cast<uint8_t>(event.value),
                              static_cast<uint8_t>(own_program())};
}

AMT_HD inline void FeatureTrack::note_on(int pitch) {
  const int program = own_program();
  hear(program);
  if (program == kDrums) return;  // they never sound
  const SoundingKey key = program * kNumPitches + pitch;
  const int64_t place = find(sounding_, num_sounding_, key);
  const SoundingNote note(time_.now, key);
  if (place < num_sounding_ && sounding_[place].key() == key) {
    sounding_[place] = note;
    return;
  }
  insert(sounding_, num_sounding_, place, note);
  count(pitch, 1);
}

AMT_HD inline void FeatureTrack::note_off(int pitch) {
  const SoundingKey key = own_program() * kNumPitches + pitch;
  const int64_t place = find(sounding_, num_sounding_, key);
  if (place == num_sounding_ || sounding_[place].key() != key) return;
  erase(sounding_, num_sounding_, place);
  count(pitch, -1);
}

AMT_HD inline void FeatureTrack::count(int pitch, int change) {
  pitch_counts_[pitch] = static_cast<uint16_t>(pitch_counts_[pitch] + change);
  pitches_.set(pitch, pitch_counts_[pitch] > 0);
}

AMT_HD inline void FeatureTrack::begin_metre(int index) {
  metre_ = index;
  time_.begin_metre(rules_->ids.bar_steps(index));
}

AMT_HD inline void FeatureTrack::shift(int64_t steps) {
  const int64_t end = time_.now + steps;
  for (; edit_ == Edit::kFill && num_heard_ < num_context_ && context_[num_heard_].step <= end; ++num_heard_) {
    const ContextEvent event = context_[num_heard_];
    move(event.step - time_.now);
    if (event.kind == Kind::kTimeSignature) {
      begin_metre(event.value);
      continue;
    }
    const bool is_on = event.kind == Kind::kNoteOn;
    if (is_on) hear(event.program);
    if (event.program == kDrums) continue;
    const SoundingKey key = event.program * kNumPitches + event.value;
    const int64_t place = find(context_sounding_, num_context_sounding_, key);
    const bool sounds = place < num_context_sounding_ && context_sounding_[place] == key;
    if (sounds == is_on) continue;
    if (is_on) {
      insert(context_sounding_, num_context_sounding_, place, key);
    } else {
      erase(context_sounding_, num_context_sounding_, place);
    }
    count(event.value, is_on ? 1 : -1);
  }
  move(end - time_.now);
}

AMT_HD inline void FeatureTrack::move(int64_t steps) {
  time_.move(steps);
  if (place_ < num_planned_) follow_plan();
}

AMT_HD inline int64_t FeatureTrack::num_bars_up_to(int64_t step) const {
  Time time = time_;
  for (int64_t next = num_heard_; next < num_context_ && context_[next].step <= step; ++next) {
    if (context_[next].kind != Kind::kTimeSignature) continue;
    time.move(context_[next].step - time.now);
    time.begin_metre(rules_->ids.bar_steps(context_[next].value));
  }
  time.move(step - time.now);
  return time.num_bars_begun();
}

// Goes to where the next part of a fill begins, and takes up the context there.
AMT_HD inline void FeatureTrack::begin_part() {
  if (edit_ == Edit::kContext) holes_.close(time_.now);
  const HoleTrack::Interval part = holes_.next_interval(fill_end_);
  if (!part.is_there()) return;
  if (edit_ == Edit::kContext) {
    edit_ = Edit::kFill;
    time_ = Time{0, 0, 0, int64_t{4} * rules_->ids.steps_per_beat};
    metre_ = FeatureRules::kNumMetres;
    heard_ = {};
    place_ = 0;
    section_end_ = 0;
  }
  for (int64_t i = 0; i < num_sounding_; ++i) count(sounding_[i].pitch(), -1);
  num_sounding_ = 0;
  fill_end_ = part.end;
  shift(part.start - time_.now);
  num_bars_ = num_bars_up_to(fill_end_);
  program_ = kNumPrograms;
  velocity_ = rules_->ids.num_velocities;
}

AMT_HD inline void FeatureTrack::take_plan(Event event) {
  if (has_begun_) return;
  if (event.kind == Kind::kBars) {
    half_bars_ = event.value;
  } else if (event.kind == Kind::kSection) {
    section_ = event.value;
    begins_section_ = true;
  } else if (section_ < kNumSections && half_bars_ > 0 && planned_half_bars() + half_bars_ <= kMaxPlanHalfBars) {
    if (num_planned_ == 0) plan_bar_steps_ = time_.bar_steps;
    plan_[num_planned_] = {static_cast<int16_t>(planned_half_bars() + half_bars_), static_cast<int8_t>(section_),
                           static_cast<int8_t>(event.value), begins_section_};
    ++num_planned_;
    begins_section_ = false;
  }
}

AMT_HD inline void FeatureTrack::follow_plan() {
  while (place_ < num_planned_ && plan_[place_].end <= half_bar()) ++place_;
  if (place_ == num_planned_ || half_bar() < section_end_) return;
  int last = place_;
  while (last + 1 < num_planned_ && !plan_[last + 1].begins_section) ++last;
  section_end_ = plan_[last].end;
}

}  // namespace amt::midi

#include "feature_entries.h"
