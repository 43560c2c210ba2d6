#include "state_features.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace amt::midi {
namespace {

// The last column of each of these stands for itself and all above it.
constexpr int kNumBeats = 32, kNumBars = 64, kNumCounts = 33;
constexpr int kNumMetres = Vocabulary::kMaxNumerator * Vocabulary::kNumDenominators;
constexpr int kNumBarsLeft = 25;
constexpr int64_t kLargestNumber = 32767;

// 1: none, 2..17: 1 to 16; then two to each doubling: 17 to 24, 25 to 32, 33 to 48, ..., 129 and more. 0 is unknown.
int left_column(int64_t bars) {
  if (bars <= 0) return 1;
  if (bars <= 16) return static_cast<int>(bars) + 1;
  int column = 18;
  for (int64_t limit = 32; bars > limit && column + 2 < kNumBarsLeft; limit *= 2) column += 2;
  const int64_t half = int64_t{24} << ((column - 18) / 2);
  return std::min(column + (bars > half ? 1 : 0), kNumBarsLeft - 1);
}

}  // namespace

FeatureLayout::FeatureLayout(FeatureConfig config) : vocabulary_(std::move(config.vocabulary)) {
  const VocabularyConfig& vocabulary = vocabulary_.config();
  if (!vocabulary.is_score) throw std::invalid_argument("state features need the preset \"score\"");
  const auto add = [&](Feature feature, int size, int most_entries, Rule rule = Rule::kNumber) {
    const bool is_there = config.features[static_cast<size_t>(feature)];
    first_[static_cast<size_t>(feature)] = is_there ? num_columns_ : -1;
    if (!is_there) return;
    num_columns_ += size;
    max_entries_ += most_entries;
    rules_.insert(rules_.end(), static_cast<size_t>(size), rule);
  };
  add(Feature::kStepInBeat, vocabulary.steps_per_beat, 1);
  add(Feature::kBeatInBar, kNumBeats, 1);
  add(Feature::kMetre, kNumMetres + 1, 1);
  add(Feature::kBar, kNumBars, 1);
  add(Feature::kBarsLeft, kNumBarsLeft, 1);
  add(Feature::kProgram, kNumPrograms + 1, 1);
  add(Feature::kVelocity, vocabulary.num_velocities + 1, 1);
  add(Feature::kNumSounding, kNumCounts, 1);
  add(Feature::kProgramNotes, kNumPrograms, kNumPrograms);
  add(Feature::kProgramAges, kNumPrograms, kNumPrograms, Rule::kAge);
  add(Feature::kProgramsHeard, kNumPrograms, kNumPrograms, Rule::kRecency);
  add(Feature::kOwnPitches, kNumPitches, kNumPitches);
  add(Feature::kOwnAges, kNumPitches, kNumPitches, Rule::kAge);
  add(Feature::kPitches, kNumPitches, kNumPitches);
  add(Feature::kSection, kNumSections + 1, 1);
  add(Feature::kChord, kNumChords + 1, 1);
  add(Feature::kNextChord, kNumChords + 1, 1);
  add(Feature::kSectionLeft, kNumBarsLeft, 1);
}

float FeatureLayout::value(FeatureEntry entry) const {
  const Rule rule = rules_[static_cast<size_t>(entry.column)];
  if (rule == Rule::kNumber) return entry.number;
  const double age = std::log2(1.0 + 2.0 * entry.number / vocabulary_.config().steps_per_beat) / 2.0;
  return static_cast<float>(rule == Rule::kAge ? age : 1.0 / (1.0 + age));
}

FeatureState::FeatureState(const FeatureLayout& layout, int64_t num_bars)
    : layout_(&layout),
      num_bars_(num_bars),
      bar_steps_(int64_t{4} * layout.vocabulary().config().steps_per_beat),
      metre_(kNumMetres),
      velocity_(layout.vocabulary().config().num_velocities) {}

void FeatureState::advance(int id) {
  ++num_tokens_;
  const Event event = layout_->vocabulary().event(id);
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
      shift(edit_ == Edit::kFill ? std::min<int64_t>(event.value, fill_end_ - now_) : event.value);
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
      if (edit_ == Edit::kContext) holes_.take(now_, event.value, own_program());
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
void FeatureState::keep(Event event) {
  if (context_ == nullptr) {
    context_ = std::make_shared<std::vector<ContextEvent>>();
  } else if (context_.use_count() > 1) {
    context_ = std::make_shared<std::vector<ContextEvent>>(*context_);
  }
  context_->push_back({now_, event.kind, static_cast<uint8_t>(event.value), static_cast<uint8_t>(own_program())});
}

void FeatureState::hear(int program) {
  const auto heard = std::lower_bound(heard_.begin(), heard_.end(), program,
                                      [](const HeardProgram& each, int wanted) { return each.program < wanted; });
  if (heard != heard_.end() && heard->program == program) {
    heard->last_note_on = now_;
  } else {
    heard_.insert(heard, {now_, program});
  }
}

void FeatureState::note_on(int pitch) {
  const int program = own_program();
  hear(program);
  if (program == kDrums) return;  // they never sound
  const int32_t key = program * kNumPitches + pitch;
  const auto note = std::lower_bound(sounding_.begin(), sounding_.end(), key,
                                     [](const SoundingNote& each, int32_t wanted) { return each.key < wanted; });
  if (note != sounding_.end() && note->key == key) {
    note->start = now_;
    return;
  }
  sounding_.insert(note, {now_, key});
  count(pitch, 1);
}

void FeatureState::note_off(int pitch) {
  const int32_t key = own_program() * kNumPitches + pitch;
  const auto note = std::lower_bound(sounding_.begin(), sounding_.end(), key,
                                     [](const SoundingNote& each, int32_t wanted) { return each.key < wanted; });
  if (note == sounding_.end() || note->key != key) return;
  sounding_.erase(note);
  count(pitch, -1);
}

void FeatureState::count(int pitch, int change) {
  uint16_t& num = pitch_counts_[static_cast<size_t>(pitch)];
  num = static_cast<uint16_t>(num + change);
  const uint64_t bit = uint64_t{1} << (pitch % 64);
  uint64_t& word = pitches_[static_cast<size_t>(pitch / 64)];
  word = num > 0 ? word | bit : word & ~bit;
}

void FeatureState::shift(int64_t steps) {
  const int64_t end = now_ + steps;
  while (edit_ == Edit::kFill && context_ != nullptr && num_heard_ < context_->size()) {
    const ContextEvent& event = (*context_)[num_heard_];
    if (event.step > end) break;
    move(event.step - now_);
    ++num_heard_;
    if (event.kind == Kind::kTimeSignature) {
      begin_metre(event.value);
      continue;
    }
    const bool is_on = event.kind == Kind::kNoteOn;
    if (is_on) hear(event.program);
    if (event.program == kDrums) continue;
    const int32_t key = event.program * kNumPitches + event.value;
    const auto place = std::lower_bound(context_sounding_.begin(), context_sounding_.end(), key);
    const bool sounds = place != context_sounding_.end() && *place == key;
    if (sounds == is_on) continue;
    if (is_on) {
      context_sounding_.insert(place, key);
    } else {
      context_sounding_.erase(place);
    }
    count(event.value, is_on ? 1 : -1);
  }
  move(end - now_);
}

void FeatureState::move(int64_t steps) {
  now_ += steps;
  step_in_bar_ += steps;
  if (place_ < num_planned()) follow_plan();
  if (step_in_bar_ < bar_steps_) return;
  bar_ += step_in_bar_ / bar_steps_;
  step_in_bar_ %= bar_steps_;
}

void FeatureState::take_plan(Event event) {
  if (has_begun_) return;
  if (event.kind == Kind::kBars) {
    half_bars_ = event.value;
  } else if (event.kind == Kind::kSection) {
    section_ = event.value;
    begins_section_ = true;
  } else if (section_ < kNumSections && half_bars_ > 0 && planned_half_bars() + half_bars_ <= kMaxPlanHalfBars) {
    if (!plan_) {
      plan_ = std::make_shared<std::vector<PlannedChord>>();
      plan_bar_steps_ = bar_steps_;
    } else if (plan_.use_count() > 1) {
      plan_ = std::make_shared<std::vector<PlannedChord>>(*plan_);
    }
    plan_->push_back({planned_half_bars() + half_bars_, section_, event.value, begins_section_});
    begins_section_ = false;
  }
}

void FeatureState::follow_plan() {
  const int size = num_planned();
  while (place_ < size && (*plan_)[static_cast<size_t>(place_)].end <= half_bar()) ++place_;
  if (place_ == size || half_bar() < section_end_) return;
  int last = place_;
  while (last + 1 < size && !(*plan_)[static_cast<size_t>(last) + 1].begins_section) ++last;
  section_end_ = (*plan_)[static_cast<size_t>(last)].end;
}

// A metre begins a bar, even inside of one.
void FeatureState::begin_metre(int index) {
  if (step_in_bar_ > 0) ++bar_;
  step_in_bar_ = 0;
  metre_ = index;
  bar_steps_ = layout_->vocabulary().bar_steps(index);
}

// Goes to where the next part of a fill begins, and takes up the context there.
void FeatureState::begin_part() {
  if (edit_ == Edit::kContext) holes_.close(now_);
  const HoleTrack::Interval part = holes_.next_interval(fill_end_);
  if (!part.is_there()) return;
  if (edit_ == Edit::kContext) {
    edit_ = Edit::kFill;
    now_ = bar_ = step_in_bar_ = 0;
    bar_steps_ = int64_t{4} * layout_->vocabulary().config().steps_per_beat;
    metre_ = kNumMetres;
    heard_.clear();
    place_ = 0;
    section_end_ = 0;
  }
  for (const SoundingNote& note : sounding_) count(note.pitch(), -1);
  sounding_.clear();
  fill_end_ = part.end;
  shift(part.start - now_);
  // How many bars the music has up to the part's end: the same way as the part itself goes.
  FeatureState there = *this;
  there.shift(fill_end_ - now_);
  num_bars_ = there.num_bars_begun();
  program_ = kNumPrograms;
  velocity_ = layout_->vocabulary().config().num_velocities;
}

int16_t FeatureState::age(int64_t start) const { return static_cast<int16_t>(std::min(now_ - start, kLargestNumber)); }

FeatureEntry* FeatureState::write(FeatureEntry* out) const {
  out = write_place(out);
  out = write_programs(out);
  out = write_pitches(out);
  return write_plan(out);
}

FeatureEntry* FeatureState::write_plan(FeatureEntry* out) const {
  int section = kNumSections, chord = kNumChords, next_chord = kNumChords, left = 0;
  if (!has_begun_) {
    section = section_;
    if (num_planned() > 0) chord = plan_->back().chord;
  } else if (place_ < num_planned()) {
    const PlannedChord* const planned = plan_->data() + place_;
    section = planned->section;
    chord = planned->chord;
    if (place_ + 1 < num_planned()) next_chord = planned[1].chord;
    left = left_column((section_end_ - half_bar() + 1) / 2);
  }
  const auto add = [&](Feature feature, int column) {
    const int first = layout_->first_column(feature);
    if (first >= 0) *out++ = {static_cast<int16_t>(first + column), 1};
  };
  add(Feature::kSection, section);
  add(Feature::kChord, chord);
  add(Feature::kNextChord, next_chord);
  add(Feature::kSectionLeft, left);
  return out;
}

// The features of which exactly one column counts.
FeatureEntry* FeatureState::write_place(FeatureEntry* out) const {
  const int64_t steps_per_beat = layout_->vocabulary().config().steps_per_beat;
  const auto add = [&](Feature feature, int64_t column) {
    const int first = layout_->first_column(feature);
    if (first >= 0) *out++ = {static_cast<int16_t>(first + column), 1};
  };
  const auto below = [](int64_t number, int64_t num) { return std::min(number, num - 1); };
  add(Feature::kStepInBeat, step_in_bar_ % steps_per_beat);
  add(Feature::kBeatInBar, below(step_in_bar_ / steps_per_beat, kNumBeats));
  add(Feature::kMetre, metre_);
  add(Feature::kBar, below(shown_bar(), kNumBars));
  add(Feature::kBarsLeft, num_bars_ <= 0 ? 0 : left_column(num_bars_ - shown_bar()));
  add(Feature::kProgram, program_);
  add(Feature::kVelocity, velocity_);
  add(Feature::kNumSounding, below(static_cast<int64_t>(sounding_.size()), kNumCounts));
  return out;
}

FeatureEntry* FeatureState::write_programs(FeatureEntry* out) const {
  const int notes = layout_->first_column(Feature::kProgramNotes), ages = layout_->first_column(Feature::kProgramAges);
  for (const int first : {notes, ages}) {
    if (first < 0) continue;
    for (auto note = sounding_.begin(); note != sounding_.end();) {
      const int program = note->program();
      const int32_t end = (program + 1) * kNumPitches;
      int16_t num_notes = 0;
      int64_t oldest = note->start;
      for (; note != sounding_.end() && note->key < end; ++note, ++num_notes) oldest = std::min(oldest, note->start);
      *out++ = {static_cast<int16_t>(first + program), first == notes ? num_notes : age(oldest)};
    }
  }
  const int heard = layout_->first_column(Feature::kProgramsHeard);
  if (heard < 0) return out;
  for (const HeardProgram& each : heard_) {
    *out++ = {static_cast<int16_t>(heard + each.program), age(each.last_note_on)};
  }
  return out;
}

FeatureEntry* FeatureState::write_pitches(FeatureEntry* out) const {
  const int32_t first_key = own_program() * kNumPitches;
  auto begin = sounding_.begin();
  while (begin != sounding_.end() && begin->key < first_key) ++begin;
  auto end = begin;
  while (end != sounding_.end() && end->key < first_key + kNumPitches) ++end;
  const int pitches = layout_->first_column(Feature::kOwnPitches), ages = layout_->first_column(Feature::kOwnAges);
  if (pitches >= 0) {
    for (auto note = begin; note != end; ++note) *out++ = {static_cast<int16_t>(pitches + note->pitch()), 1};
  }
  if (ages >= 0) {
    for (auto note = begin; note != end; ++note) {
      *out++ = {static_cast<int16_t>(ages + note->pitch()), age(note->start)};
    }
  }
  const int all = layout_->first_column(Feature::kPitches);
  if (all < 0) return out;
  for (int word = 0; word < 2; ++word) {
    for (uint64_t bits = pitches_[static_cast<size_t>(word)]; bits != 0; bits &= bits - 1) {
      const int pitch = 64 * word + __builtin_ctzll(bits);
      *out++ = {static_cast<int16_t>(all + pitch), static_cast<int16_t>(pitch_counts_[static_cast<size_t>(pitch)])};
    }
  }
  return out;
}

FeatureRows feature_rows(const FeatureLayout& layout, const int32_t* ids, const std::vector<int64_t>& lengths,
                         const std::vector<int64_t>& num_bars) {
  FeatureRows rows;
  int64_t num_tokens = 0;
  for (const int64_t length : lengths) num_tokens += length;
  rows.ends.reserve(static_cast<size_t>(num_tokens));
  rows.times.reserve(static_cast<size_t>(num_tokens));
  rows.entries.resize(static_cast<size_t>(32 * num_tokens + layout.max_entries()));
  const auto most = static_cast<size_t>(layout.max_entries());
  size_t size = 0;
  for (size_t row = 0; row < lengths.size(); ++row) {
    FeatureState state(layout, num_bars[row]);
    for (int64_t index = 0; index < lengths[row]; ++index) {
      const int32_t id = *ids++;
      state.advance(id);
      if (rows.entries.size() < size + most) rows.entries.resize(2 * size + most);
      if (id != Vocabulary::kPadId) {
        FeatureEntry* first = rows.entries.data();
        size = static_cast<size_t>(state.write(first + size) - first);
      }
      rows.ends.push_back(static_cast<int64_t>(size));
      rows.times.push_back(state.now());
    }
  }
  rows.entries.resize(size);
  return rows;
}

}  // namespace amt::midi
