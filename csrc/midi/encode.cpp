#include <algorithm>
#include <array>
#include <limits>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "radix_sort.h"
#include "time_grid.h"
#include "tokenizer.h"

namespace amt::midi {
namespace {

constexpr uint8_t kNoPlace = 0;
constexpr uint8_t kNoBin = 255;

// A place stands for a program in use, from 1, in ascending order: few places make short keys, which sort faster.
struct Span {
  int32_t start, end;
  uint8_t place;
};

struct SteppedNote {
  int32_t start, end;
  uint16_t slot;  // place * kNumPitches + pitch
  uint8_t bin;
};

// What happens at a step, and what must be in force then: kNoPlace and kNoBin leave it open.
struct StepEvent {
  int32_t step;
  uint16_t token;
  uint8_t place, bin;
};

template <typename T>
std::vector<T> sorted_by_tick(std::vector<T> items) {
  std::stable_sort(items.begin(), items.end(), [](const T& a, const T& b) { return a.tick < b.tick; });
  return items;
}

// Appends ids to a vector by way of a small block.
class IdWriter {
 public:
  explicit IdWriter(std::vector<int32_t>& ids) : ids_(ids) {}

  // To be called before every `kMostPerEvent` ids.
  void make_room() {
    if (next_ > block_.data() + block_.size() - kMostPerEvent) flush();
  }
  void add(int id) { *next_++ = id; }
  // Without a branch: in music these conditions are as good as random, and a wrong guess costs more than the write.
  void add_if(bool is_needed, int id) {
    *next_ = id;
    next_ += is_needed;
  }
  void flush() {
    ids_.insert(ids_.end(), block_.data(), next_);
    next_ = block_.data();
  }

 private:
  static constexpr size_t kMostPerEvent = 4;  // shift, program, velocity, the event itself
  std::vector<int32_t>& ids_;
  std::array<int32_t, 1024> block_;
  int32_t* next_ = block_.data();
};

class Encoder {
 public:
  Encoder(const MidiData& data, const Vocabulary& vocabulary)
      : data_(data),
        vocabulary_(vocabulary),
        is_score_(vocabulary.config().is_score),
        grid_(sorted_by_tick(data.tempos), data.ticks_per_beat, vocabulary.config()),
        arena_(2 * (sizeof(SteppedNote) + 2 * sizeof(StepEvent)) * data.notes.size() + 4096) {}

  Encoding run() {
    survey();
    quantise_notes();
    end_restruck_notes();
    const std::vector<Span> pedals = quantise_pedals();
    if (!is_score_ && !pedals.empty()) sustain(pedals);
    collect_events(pedals);
    std::pmr::vector<StepEvent> scratch(&arena_);
    sort_by_key(events_, scratch, [](const StepEvent& event) { return static_cast<uint64_t>(event.step); });
    emit();
    return std::move(result_);
  }

 private:
  // Finds the programs in use, and refuses pieces whose steps are too large for the types above.
  void survey() {
    std::array<bool, kNumPrograms> is_used{};
    int32_t last_tick = 0;
    for (const Note& note : data_.notes) {
      is_used[program_of(note)] = true;
      last_tick = std::max(last_tick, note.end_ticks);
    }
    for (const PedalSpan& pedal : data_.pedals) {
      is_used[program_of(pedal)] = true;
      last_tick = std::max(last_tick, pedal.end_ticks);
    }
    for (const Tempo& tempo : data_.tempos) last_tick = std::max(last_tick, tempo.tick);
    for (const TimeSignature& signature : data_.time_signatures) last_tick = std::max(last_tick, signature.tick);
    const int64_t last_step = grid_.step(last_tick);
    if (last_step >= std::numeric_limits<int32_t>::max()) {
      throw std::invalid_argument("the piece is too long: it ends at step " + std::to_string(last_step) +
                                  ", which must be below 2^31 - 1");
    }
    program_at_.fill(-1);
    uint8_t num_places = 0;
    for (int program = 0; program < kNumPrograms; ++program) {
      if (!is_used[program]) continue;
      place_of_[program] = ++num_places;
      program_at_[num_places] = program;
    }
  }

  template <typename T>
  int program_of(const T& item) const {
    return !is_score_ ? 0 : item.is_drum ? kDrums : item.program & 127;
  }

  // Steps 1 and 2 of docs/tokens.md.
  void quantise_notes() {
    EncodeReport& report = result_.report;
    report.num_notes = static_cast<int64_t>(data_.notes.size());
    notes_.reserve(data_.notes.size());
    std::array<bool, 128> is_merged{};
    for (const Note& note : data_.notes) {
      if (note.is_drum && !is_score_) {
        ++report.dropped_drums;
        continue;
      }
      const auto start = static_cast<int32_t>(grid_.step_of_note(note.start_ticks));
      int32_t end = start;
      if (!note.is_drum) {
        is_merged[note.program & 127] = true;
        end = static_cast<int32_t>(grid_.step_of_note(note.end_ticks));
        report.lengthened_notes += end <= start;
        end = std::max(end, start + 1);
      }
      notes_.push_back({start, end,
                        static_cast<uint16_t>(place_of_[program_of(note)] * kNumPitches + (note.pitch & 127)),
                        static_cast<uint8_t>(vocabulary_.velocity_bin(note.velocity))});
    }
    const auto num_programs = std::count(is_merged.begin(), is_merged.end(), true);
    if (!is_score_ && num_programs > 1) report.merged_programs = num_programs;
    report.moved_us_max = grid_.moved_us_max();
  }

  // Step 3: merges equal notes and ends the sounding one at the next of its pitch. Leaves notes_ in order of slots,
  // then starts.
  void end_restruck_notes() {
    std::pmr::vector<SteppedNote> scratch(&arena_);
    sort_by_key(notes_, scratch, [](const SteppedNote& note) { return static_cast<uint64_t>(note.start); });
    sort_by_key(notes_, scratch, [](const SteppedNote& note) { return uint64_t{note.slot}; });
    EncodeReport& report = result_.report;
    size_t kept = 0;
    for (const SteppedNote& note : notes_) {
      if (kept > 0 && notes_[kept - 1].slot == note.slot) {
        SteppedNote& previous = notes_[kept - 1];
        if (previous.start == note.start) {
          previous.end = std::max(previous.end, note.end);
          previous.bin = std::max(previous.bin, note.bin);
          ++report.merged_notes;
          continue;
        }
        report.truncated_notes += previous.end > note.start;
        previous.end = std::min(previous.end, note.start);
      }
      notes_[kept++] = note;
    }
    notes_.resize(kept);
    report.kept_notes = static_cast<int64_t>(kept);
  }

  // Step 4: the pedal spans by place and start, overlapping ones joined.
  std::vector<Span> quantise_pedals() {
    std::vector<Span> spans;
    for (const PedalSpan& pedal : data_.pedals) {
      if (pedal.is_drum) continue;
      const Span span{static_cast<int32_t>(grid_.step(pedal.start_ticks)),
                      static_cast<int32_t>(grid_.step(pedal.end_ticks)), place_of_[program_of(pedal)]};
      if (span.end > span.start) spans.push_back(span);
    }
    std::sort(spans.begin(), spans.end(),
              [](const Span& a, const Span& b) { return a.place != b.place ? a.place < b.place : a.start < b.start; });
    std::vector<Span> joined;
    for (const Span& span : spans) {
      if (!joined.empty() && joined.back().place == span.place && span.start < joined.back().end) {
        joined.back().end = std::max(joined.back().end, span.end);
      } else {
        joined.push_back(span);
      }
    }
    return joined;
  }

  // Step 4, performance: notes that end under the pedal last to its end or to the next start of their pitch.
  void sustain(const std::vector<Span>& pedals) {
    for (size_t i = 0; i < notes_.size(); ++i) {
      SteppedNote& note = notes_[i];
      const auto after = std::upper_bound(pedals.begin(), pedals.end(), note.end,
                                          [](int32_t end, const Span& span) { return end < span.start; });
      if (after == pedals.begin() || note.end >= std::prev(after)->end) continue;
      int32_t end = std::prev(after)->end;
      if (i + 1 < notes_.size() && notes_[i + 1].slot == note.slot) end = std::min(end, notes_[i + 1].start);
      result_.report.sustained_notes += end > note.end;
      note.end = std::max(note.end, end);
    }
  }

  // Step 6, but for the order of steps: changes first, then place by place.
  void collect_events(const std::vector<Span>& pedals) {
    events_.resize(2 * (notes_.size() + pedals.size()) + data_.tempos.size() + data_.time_signatures.size());
    if (is_score_) collect_changes();
    auto note = notes_.cbegin();
    auto pedal = pedals.cbegin();
    for (uint8_t place = 1; program_at_[place] >= 0; ++place) {
      const auto notes_end = std::partition_point(
          note, notes_.cend(), [place](const SteppedNote& n) { return n.slot < (place + 1) * kNumPitches; });
      if (program_at_[place] != kDrums) {
        for (auto n = note; n != notes_end; ++n) add_event(n->end, vocabulary_.note_off(n->slot % kNumPitches), place);
      }
      if (is_score_) {
        const auto pedals_begin = pedal;
        for (; pedal != pedals.cend() && pedal->place == place; ++pedal) {
          add_event(pedal->end, vocabulary_.pedal_off(), place);
        }
        for (auto p = pedals_begin; p != pedal; ++p) add_event(p->start, vocabulary_.pedal_on(), place);
      }
      for (; note != notes_end; ++note) {
        add_event(note->start, vocabulary_.note_on(note->slot % kNumPitches), place, note->bin);
      }
    }
    events_.resize(num_events_);
  }

  // Step 5.
  void collect_changes() {
    std::vector<std::pair<int32_t, int>> tokens;  // (step, token), by tick
    for (const TimeSignature& signature : sorted_by_tick(data_.time_signatures)) {
      const int index = Vocabulary::time_signature_index(signature.numerator, signature.denominator);
      if (index < 0) {
        ++result_.report.dropped_time_signatures;
      } else {
        tokens.push_back({static_cast<int32_t>(grid_.step(signature.tick)), vocabulary_.time_signature(index)});
      }
    }
    const int common_time = Vocabulary::time_signature_index(4, 4);
    first_time_signature_ = collect_changes(tokens, vocabulary_.time_signature(common_time));
    tokens.clear();
    for (const Tempo& tempo : sorted_by_tick(data_.tempos)) {
      tokens.push_back({static_cast<int32_t>(grid_.step(tempo.tick)),
                        vocabulary_.tempo(vocabulary_.tempo_index(tempo.us_per_beat))});
    }
    first_tempo_ = collect_changes(tokens, vocabulary_.tempo(vocabulary_.tempo_index(500'000)));
  }

  // Returns the token of step 0: the last one there, or else `first`.
  int collect_changes(const std::vector<std::pair<int32_t, int>>& tokens, int first) {
    size_t i = 0;
    for (; i < tokens.size() && tokens[i].first == 0; ++i) first = tokens[i].second;
    int current = first;
    for (; i < tokens.size(); ++i) {
      const auto [step, token] = tokens[i];
      const bool is_last_of_step = i + 1 == tokens.size() || tokens[i + 1].first != step;
      if (!is_last_of_step || token == current) continue;
      current = token;
      add_event(step, token, kNoPlace);
    }
    return first;
  }

  void add_event(int32_t step, int token, uint8_t place, uint8_t bin = kNoBin) {
    events_[num_events_++] = {step, static_cast<uint16_t>(token), place, bin};
  }

  // Step 7.
  void emit() {
    result_.ids.reserve(3 * notes_.size() + 64);
    IdWriter ids(result_.ids);
    ids.add(Vocabulary::kBosId);
    if (is_score_) {
      ids.add(first_time_signature_);
      ids.add(first_tempo_);
    }
    const int max_time_shift = vocabulary_.config().max_time_shift;
    int32_t now = 0;
    int place = is_score_ ? kNoPlace : 1, bin = kNoBin;  // in force; performance has one program and no token for it
    for (const StepEvent& event : events_) {
      ids.make_room();
      const int32_t gap = event.step - now;
      now = event.step;
      if (gap > max_time_shift) {
        shift_far(gap, ids);
      } else {
        ids.add_if(gap > 0, vocabulary_.time_shift(gap));
      }
      const int next_place = event.place == kNoPlace ? place : event.place;
      ids.add_if(next_place != place, vocabulary_.program(program_at_[next_place]));
      place = next_place;
      const int next_bin = event.bin == kNoBin ? bin : event.bin;
      ids.add_if(next_bin != bin, vocabulary_.velocity(next_bin));
      bin = next_bin;
      ids.add(event.token);
    }
    ids.make_room();
    ids.add(Vocabulary::kEosId);
    ids.flush();
  }

  // A way of more than one time_shift.
  void shift_far(int64_t gap, IdWriter& ids) {
    const int64_t max_gap = vocabulary_.config().max_gap_steps;
    if (gap > max_gap) {
      ++result_.report.clamped_gaps;
      result_.report.clamped_steps += gap - max_gap;
      gap = max_gap;
    }
    const int largest = vocabulary_.config().max_time_shift;
    for (; gap > largest; gap -= largest) {
      ids.add(vocabulary_.time_shift(largest));
      ids.make_room();
    }
    ids.add(vocabulary_.time_shift(static_cast<int>(gap)));
  }

  const MidiData& data_;
  const Vocabulary& vocabulary_;
  const bool is_score_;
  TimeGrid grid_;
  std::array<uint8_t, kNumPrograms> place_of_{};
  std::array<int, kNumPrograms + 2> program_at_;  // by place; -1: none
  // One piece of memory for all that is as long as the notes. Many pieces, when they are freed, make a heap give its
  // end back to the system and ask for it again at the next file, which takes as long as a third of the encoding.
  std::pmr::monotonic_buffer_resource arena_;
  std::pmr::vector<SteppedNote> notes_{&arena_};
  std::pmr::vector<StepEvent> events_{&arena_};
  size_t num_events_ = 0;
  int first_time_signature_ = 0, first_tempo_ = 0;  // tokens
  Encoding result_;
};

}  // namespace

Encoding encode(const MidiData& data, const Vocabulary& vocabulary) {
  if (data.ticks_per_beat < 1) throw std::invalid_argument("ticks_per_beat must be positive");
  if (vocabulary.size() > std::numeric_limits<uint16_t>::max()) {
    throw std::invalid_argument("the vocabulary has " + std::to_string(vocabulary.size()) + " ids, more than 65535");
  }
  return Encoder(data, vocabulary).run();
}

}  // namespace amt::midi
