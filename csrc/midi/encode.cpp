#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "radix_sort.h"
#include "time_grid.h"
#include "tokenizer.h"

namespace amt::midi {
namespace {

// One key orders all events: step, then group (0 before all programs, 1 + program), then kind, then pitch.
enum GroupKind : uint64_t { kOff = 0, kPedalUp = 1, kPedalDown = 2, kOn = 3 };
enum MetaKind : uint64_t { kMetre = 0, kSpeed = 1 };

uint64_t event_key(int64_t step, int group, uint64_t kind, int pitch) {
  return static_cast<uint64_t>(step) << 18 | static_cast<uint64_t>(group) << 9 | kind << 7 |
         static_cast<uint64_t>(pitch);
}
int64_t key_step(uint64_t key) { return static_cast<int64_t>(key >> 18); }
int key_group(uint64_t key) { return static_cast<int>(key >> 9 & 511); }
int key_kind(uint64_t key) { return static_cast<int>(key >> 7 & 3); }
int key_pitch(uint64_t key) { return static_cast<int>(key & 127); }

constexpr size_t kMostPerEvent = 4;  // shift, program, velocity, the event itself

struct Span {
  int64_t start, end;
  int program;
};

struct QuantisedNote {
  int64_t end;
  int velocity;  // the largest of those merged; 0: merged into another
};

template <typename T>
std::vector<T> sorted_by_tick(std::vector<T> items) {
  std::stable_sort(items.begin(), items.end(), [](const T& a, const T& b) { return a.tick < b.tick; });
  return items;
}

class Encoder {
 public:
  Encoder(const MidiData& data, const Vocabulary& vocabulary)
      : data_(data),
        vocabulary_(vocabulary),
        is_score_(vocabulary.config().is_score),
        grid_(sorted_by_tick(data.tempos), data.ticks_per_beat, vocabulary.config()) {}

  Encoding run() {
    quantise_notes();
    end_restruck_notes();
    const std::vector<Span> pedals = quantise_pedals();
    if (!is_score_ && !pedals.empty()) sustain(pedals);
    collect_offs();
    if (is_score_) {
      collect_pedals(pedals);
      collect_metas();
    }
    sort_by_key(events_);
    emit();
    return std::move(result_);
  }

 private:
  // Steps 1 and 2 of docs/tokens.md: ons_ holds one key per note, its payload the index into notes_.
  void quantise_notes() {
    EncodeReport& report = result_.report;
    report.num_notes = static_cast<int64_t>(data_.notes.size());
    ons_.reserve(data_.notes.size());
    notes_.reserve(data_.notes.size());
    std::vector<bool> programs(kNumPitches);
    for (const Note& note : data_.notes) {
      if (note.is_drum && !is_score_) {
        ++report.dropped_drums;
        continue;
      }
      const int program = note.is_drum ? kDrums : is_score_ ? note.program : 0;
      const int64_t start = grid_.step(note.start_ticks, &report.moved_us_max);
      int64_t end = start;
      if (!note.is_drum) {
        programs[note.program & 127] = true;
        end = grid_.step(note.end_ticks, &report.moved_us_max);
        if (end <= start) {
          end = start + 1;
          ++report.lengthened_notes;
        }
      }
      ons_.push_back({event_key(start, 1 + program, kOn, note.pitch & 127), static_cast<uint32_t>(notes_.size())});
      notes_.push_back({end, note.velocity});
    }
    const int64_t num_programs = std::count(programs.begin(), programs.end(), true);
    if (!is_score_ && num_programs > 1) report.merged_programs = num_programs;
    sort_by_key(ons_);
  }

  // Step 3: merges equal notes and ends the sounding one at the next of its pitch; compacts ons_.
  void end_restruck_notes() {
    EncodeReport& report = result_.report;
    constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
    std::vector<uint32_t> last(static_cast<size_t>(kNumPrograms) * kNumPitches, kNone);  // position in ons_
    size_t kept = 0;
    for (size_t i = 0; i < ons_.size(); ++i) {
      const Keyed on = ons_[i];
      const QuantisedNote note = notes_[on.payload];
      const int program = key_group(on.key) - 1;
      uint32_t& before = last[static_cast<size_t>(program) * kNumPitches + key_pitch(on.key)];
      if (before != kNone) {
        QuantisedNote& previous = notes_[ons_[before].payload];
        if (ons_[before].key == on.key) {
          previous.end = std::max(previous.end, note.end);
          previous.velocity = std::max(previous.velocity, note.velocity);
          ++report.merged_notes;
          continue;
        }
        if (program != kDrums && previous.end > key_step(on.key)) {
          previous.end = key_step(on.key);
          ++report.truncated_notes;
        }
      }
      before = static_cast<uint32_t>(kept);
      ons_[kept++] = on;
    }
    ons_.resize(kept);
    report.kept_notes = static_cast<int64_t>(kept);
  }

  // Step 4: the pedal spans by program and start, overlapping ones joined.
  std::vector<Span> quantise_pedals() {
    std::vector<Span> spans;
    for (const PedalSpan& pedal : data_.pedals) {
      if (pedal.is_drum) continue;
      const Span span{grid_.step(pedal.start_ticks), grid_.step(pedal.end_ticks), is_score_ ? pedal.program : 0};
      if (span.end > span.start) spans.push_back(span);
    }
    std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
      return a.program != b.program ? a.program < b.program : a.start < b.start;
    });
    std::vector<Span> joined;
    for (const Span& span : spans) {
      if (!joined.empty() && joined.back().program == span.program && span.start < joined.back().end) {
        joined.back().end = std::max(joined.back().end, span.end);
      } else {
        joined.push_back(span);
      }
    }
    return joined;
  }

  // Step 4, performance: notes that end under the pedal last to its end or to the next start of their pitch.
  void sustain(const std::vector<Span>& pedals) {
    std::vector<int64_t> next_start(kNumPitches, std::numeric_limits<int64_t>::max());
    for (size_t i = ons_.size(); i-- > 0;) {
      QuantisedNote& note = notes_[ons_[i].payload];
      int64_t& next = next_start[key_pitch(ons_[i].key)];
      auto after = std::upper_bound(pedals.begin(), pedals.end(), note.end,
                                    [](int64_t end, const Span& span) { return end < span.start; });
      if (after != pedals.begin() && note.end < std::prev(after)->end) {
        const int64_t end = std::min(std::prev(after)->end, next);
        if (end > note.end) {
          note.end = end;
          ++result_.report.sustained_notes;
        }
      }
      next = key_step(ons_[i].key);
    }
  }

  void collect_offs() {
    events_.reserve(ons_.size() + data_.pedals.size() * 2 + 16);
    for (const Keyed& on : ons_) {
      const int group = key_group(on.key);
      if (group == 1 + kDrums) continue;
      events_.push_back({event_key(notes_[on.payload].end, group, kOff, key_pitch(on.key)), 0});
    }
  }

  void collect_pedals(const std::vector<Span>& pedals) {
    for (const Span& span : pedals) {
      events_.push_back({event_key(span.start, 1 + span.program, kPedalDown, 0), 0});
      events_.push_back({event_key(span.end, 1 + span.program, kPedalUp, 0), 0});
    }
  }

  // Step 5. `changes` are (step, index) in order of ticks; the value of step 0 is left in `first`.
  void collect_changes(const std::vector<std::pair<int64_t, int>>& changes, uint64_t kind, int* first) {
    size_t i = 0;
    for (; i < changes.size() && changes[i].first == 0; ++i) *first = changes[i].second;
    int current = *first;
    for (; i < changes.size(); ++i) {
      const auto [step, index] = changes[i];
      const bool is_last_of_step = i + 1 == changes.size() || changes[i + 1].first != step;
      if (!is_last_of_step || index == current) continue;
      current = index;
      events_.push_back({event_key(step, 0, kind, 0), static_cast<uint32_t>(index)});
    }
  }

  void collect_metas() {
    std::vector<std::pair<int64_t, int>> changes;
    for (const TimeSignature& signature : sorted_by_tick(data_.time_signatures)) {
      const int index = Vocabulary::time_signature_index(signature.numerator, signature.denominator);
      if (index < 0) {
        ++result_.report.dropped_time_signatures;
      } else {
        changes.push_back({grid_.step(signature.tick), index});
      }
    }
    first_time_signature_ = Vocabulary::time_signature_index(4, 4);
    collect_changes(changes, kMetre, &first_time_signature_);
    changes.clear();
    for (const Tempo& tempo : sorted_by_tick(data_.tempos)) {
      changes.push_back({grid_.step(tempo.tick), vocabulary_.tempo_index(tempo.us_per_beat)});
    }
    first_tempo_ = vocabulary_.tempo_index(500'000);
    collect_changes(changes, kSpeed, &first_tempo_);
  }

  // Steps 6 and 7: merges events_ and ons_.
  void emit() {
    result_.ids.resize(ons_.size() * 5 + kMostPerEvent);
    end_ = result_.ids.data();
    *end_++ = Vocabulary::kBosId;
    if (is_score_) {
      *end_++ = vocabulary_.time_signature(first_time_signature_);
      *end_++ = vocabulary_.tempo(first_tempo_);
    }
    size_t e = 0, o = 0;
    while (e < events_.size() || o < ons_.size()) {
      const bool is_on = e == events_.size() || (o < ons_.size() && ons_[o].key < events_[e].key);
      const Keyed item = is_on ? ons_[o++] : events_[e++];
      make_room(kMostPerEvent);
      if (key_step(item.key) != now_) shift_to(key_step(item.key));
      const int group = key_group(item.key);
      if (group == 0) {
        const int index = static_cast<int>(item.payload);
        *end_++ = key_kind(item.key) == kMetre ? vocabulary_.time_signature(index) : vocabulary_.tempo(index);
        continue;
      }
      if (is_score_ && group - 1 != program_) {
        program_ = group - 1;
        *end_++ = vocabulary_.program(program_);
      }
      const int pitch = key_pitch(item.key);
      if (is_on) {
        const int bin = vocabulary_.velocity_bin(notes_[item.payload].velocity);
        if (bin != velocity_) {
          velocity_ = bin;
          *end_++ = vocabulary_.velocity(bin);
        }
        *end_++ = vocabulary_.note_on(pitch);
      } else if (key_kind(item.key) == kOff) {
        *end_++ = vocabulary_.note_off(pitch);
      } else {
        *end_++ = key_kind(item.key) == kPedalUp ? vocabulary_.pedal_off() : vocabulary_.pedal_on();
      }
    }
    make_room(1);
    *end_++ = Vocabulary::kEosId;
    result_.ids.resize(static_cast<size_t>(end_ - result_.ids.data()));
  }

  // Space for so many more ids.
  void make_room(size_t count) {
    std::vector<int32_t>& ids = result_.ids;
    const auto used = static_cast<size_t>(end_ - ids.data());
    if (ids.size() - used >= count) return;
    ids.resize(2 * ids.size() + count);
    end_ = ids.data() + used;
  }

  void shift_to(int64_t step) {
    int64_t gap = step - now_;
    now_ = step;
    const int64_t max_gap = vocabulary_.config().max_gap_steps;
    if (gap > max_gap) {
      ++result_.report.clamped_gaps;
      result_.report.clamped_steps += gap - max_gap;
      gap = max_gap;
    }
    const int largest = vocabulary_.config().max_time_shift;
    if (gap > largest) {
      make_room(static_cast<size_t>(gap / largest) + kMostPerEvent);
      for (; gap > largest; gap -= largest) *end_++ = vocabulary_.time_shift(largest);
    }
    *end_++ = vocabulary_.time_shift(static_cast<int>(gap));
  }

  const MidiData& data_;
  const Vocabulary& vocabulary_;
  const bool is_score_;
  TimeGrid grid_;
  std::vector<Keyed> ons_;     // note_on events, sorted
  std::vector<Keyed> events_;  // all other events
  std::vector<QuantisedNote> notes_;
  int first_time_signature_ = 0, first_tempo_ = 0;
  int64_t now_ = 0;
  int program_ = -1, velocity_ = -1;
  Encoding result_;
  int32_t* end_ = nullptr;  // where the next id goes
};

}  // namespace

Encoding encode(const MidiData& data, const Vocabulary& vocabulary) {
  if (data.ticks_per_beat < 1) throw std::invalid_argument("ticks_per_beat must be positive");
  return Encoder(data, vocabulary).run();
}

}  // namespace amt::midi
