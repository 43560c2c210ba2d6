#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "radix_sort.h"
#include "time_grid.h"
#include "tokenizer.h"

namespace amt::midi {
namespace {

constexpr uint64_t kNoKey = std::numeric_limits<uint64_t>::max();
constexpr size_t kMostPerEvent = 4;  // shift, program, velocity, the event itself

// The order of events in a group, which is all that happens to one program at one step. Changes of metre and tempo
// stand in the step's first group.
enum Rank : uint64_t { kMetre, kTempo, kNoteOff, kPedalUp, kPedalDown, kNoteOn };

struct Span {
  int64_t start, end;
  int program;
};

struct QuantisedNote {
  int64_t end;
  int velocity;
};

// A change of metre or tempo, or a pedal: rare beside notes.
struct Extra {
  uint64_t order;  // group * 8 + rank
  int32_t token;
  int program;  // -1: none
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
    number_programs();
    quantise_notes();
    end_restruck_notes();
    const std::vector<Span> pedals = quantise_pedals();
    if (!is_score_ && !pedals.empty()) sustain(pedals);
    collect_offs();
    if (is_score_) {
      collect_pedals(pedals);
      collect_changes();
      std::stable_sort(extras_.begin(), extras_.end(),
                       [](const Extra& a, const Extra& b) { return a.order < b.order; });
    }
    emit();
    return std::move(result_);
  }

 private:
  // Keys sort by step, program and pitch; few programs in use make short keys, which sort faster.
  void number_programs() {
    std::array<bool, kNumPrograms> is_used{};
    for (const Note& note : data_.notes) is_used[program_of(note)] = true;
    for (const PedalSpan& pedal : data_.pedals) is_used[is_score_ ? pedal.program & 127 : 0] = true;
    for (int program = 0; program < kNumPrograms; ++program) {
      if (!is_used[program]) continue;
      place_of_[program] = static_cast<int>(programs_.size());
      programs_.push_back(program);
    }
    while (size_t{1} << program_bits_ < programs_.size()) ++program_bits_;
  }

  int program_of(const Note& note) const { return !is_score_ ? 0 : note.is_drum ? kDrums : note.program & 127; }
  uint64_t group_key(int64_t step, int program) const {
    return static_cast<uint64_t>(step) << program_bits_ | static_cast<uint64_t>(place_of_[program]);
  }
  int64_t group_step(uint64_t group) const { return static_cast<int64_t>(group >> program_bits_); }
  int group_program(uint64_t group) const { return programs_[group & ((uint64_t{1} << program_bits_) - 1)]; }

  // Steps 1 and 2 of docs/tokens.md: ons_ holds one key per note, its payload the index into notes_.
  void quantise_notes() {
    EncodeReport& report = result_.report;
    report.num_notes = static_cast<int64_t>(data_.notes.size());
    ons_.reserve(data_.notes.size() + 1);
    notes_.reserve(data_.notes.size());
    std::array<bool, 128> is_merged{};
    for (const Note& note : data_.notes) {
      if (note.is_drum && !is_score_) {
        ++report.dropped_drums;
        continue;
      }
      const int64_t start = grid_.step_of_note(note.start_ticks);
      int64_t end = start;
      if (!note.is_drum) {
        is_merged[note.program & 127] = true;
        end = grid_.step_of_note(note.end_ticks);
        if (end <= start) {
          end = start + 1;
          ++report.lengthened_notes;
        }
      }
      ons_.push_back({group_key(start, program_of(note)) << 7 | (note.pitch & 127),
                      static_cast<uint32_t>(notes_.size())});
      notes_.push_back({end, note.velocity});
    }
    const auto num_programs = std::count(is_merged.begin(), is_merged.end(), true);
    if (!is_score_ && num_programs > 1) report.merged_programs = num_programs;
    report.moved_us_max = grid_.moved_us_max();
    sort_by_key(ons_);
  }

  // Step 3: merges equal notes and ends the sounding one at the next of its pitch; compacts ons_.
  void end_restruck_notes() {
    EncodeReport& report = result_.report;
    constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
    const uint64_t place_mask = (uint64_t{1} << (program_bits_ + 7)) - 1;
    std::vector<uint32_t> last(place_mask + 1, kNone);  // by program and pitch: the position in ons_
    size_t kept = 0;
    for (const Keyed on : ons_) {
      uint32_t& before = last[on.key & place_mask];
      if (before != kNone) {
        QuantisedNote& previous = notes_[ons_[before].payload];
        if (ons_[before].key == on.key) {
          previous.end = std::max(previous.end, notes_[on.payload].end);
          previous.velocity = std::max(previous.velocity, notes_[on.payload].velocity);
          ++report.merged_notes;
          continue;
        }
        const uint64_t group = on.key >> 7;
        if (previous.end > group_step(group) && group_program(group) != kDrums) {
          previous.end = group_step(group);
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
      const Span span{grid_.step(pedal.start_ticks), grid_.step(pedal.end_ticks), is_score_ ? pedal.program & 127 : 0};
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
    std::array<int64_t, kNumPitches> next_start;
    next_start.fill(std::numeric_limits<int64_t>::max());
    for (size_t i = ons_.size(); i-- > 0;) {
      QuantisedNote& note = notes_[ons_[i].payload];
      int64_t& next = next_start[ons_[i].key & 127];
      const auto after = std::upper_bound(pedals.begin(), pedals.end(), note.end,
                                          [](int64_t end, const Span& span) { return end < span.start; });
      if (after != pedals.begin() && note.end < std::prev(after)->end) {
        const int64_t end = std::min(std::prev(after)->end, next);
        if (end > note.end) {
          note.end = end;
          ++result_.report.sustained_notes;
        }
      }
      next = group_step(ons_[i].key >> 7);
    }
  }

  void collect_offs() {
    offs_.reserve(ons_.size() + 1);
    const uint64_t place_mask = (uint64_t{1} << (program_bits_ + 7)) - 1;
    for (const Keyed& on : ons_) {
      if (group_program(on.key >> 7) == kDrums) continue;
      const auto end = static_cast<uint64_t>(notes_[on.payload].end);
      offs_.push_back({end << (program_bits_ + 7) | (on.key & place_mask), 0});
    }
    sort_by_key(offs_);
  }

  void collect_pedals(const std::vector<Span>& pedals) {
    for (const Span& span : pedals) {
      extras_.push_back({group_key(span.start, span.program) << 3 | kPedalDown, vocabulary_.pedal_on(), span.program});
      extras_.push_back({group_key(span.end, span.program) << 3 | kPedalUp, vocabulary_.pedal_off(), span.program});
    }
  }

  // Step 5.
  void collect_changes() {
    std::vector<std::pair<int64_t, int>> tokens;  // (step, token), by tick
    for (const TimeSignature& signature : sorted_by_tick(data_.time_signatures)) {
      const int index = Vocabulary::time_signature_index(signature.numerator, signature.denominator);
      if (index < 0) {
        ++result_.report.dropped_time_signatures;
      } else {
        tokens.push_back({grid_.step(signature.tick), vocabulary_.time_signature(index)});
      }
    }
    first_time_signature_ = vocabulary_.time_signature(Vocabulary::time_signature_index(4, 4));
    collect_changes(tokens, kMetre, &first_time_signature_);
    tokens.clear();
    for (const Tempo& tempo : sorted_by_tick(data_.tempos)) {
      tokens.push_back({grid_.step(tempo.tick), vocabulary_.tempo(vocabulary_.tempo_index(tempo.us_per_beat))});
    }
    first_tempo_ = vocabulary_.tempo(vocabulary_.tempo_index(500'000));
    collect_changes(tokens, kTempo, &first_tempo_);
  }

  // Leaves the token of step 0 in `first`.
  void collect_changes(const std::vector<std::pair<int64_t, int>>& tokens, Rank rank, int* first) {
    size_t i = 0;
    for (; i < tokens.size() && tokens[i].first == 0; ++i) *first = tokens[i].second;
    int current = *first;
    for (; i < tokens.size(); ++i) {
      const auto [step, token] = tokens[i];
      const bool is_last_of_step = i + 1 == tokens.size() || tokens[i + 1].first != step;
      if (!is_last_of_step || token == current) continue;
      current = token;
      extras_.push_back({static_cast<uint64_t>(step) << program_bits_ << 3 | rank, token, -1});
    }
  }

  // Steps 6 and 7: merges offs_, extras_ and ons_.
  void emit() {
    result_.ids.resize(ons_.size() * 4 + 2 * kMostPerEvent);
    end_ = result_.ids.data();
    *end_++ = Vocabulary::kBosId;
    if (is_score_) {
      *end_++ = first_time_signature_;
      *end_++ = first_tempo_;
    }
    ons_.push_back({kNoKey, 0});
    offs_.push_back({kNoKey, 0});
    const Keyed* on = ons_.data();
    const Keyed* off = offs_.data();
    size_t next_extra = 0;
    if (!is_score_) program_ = 0;
    while (true) {
      const bool is_off = off->key >> 7 <= on->key >> 7;
      const uint64_t key = is_off ? off->key : on->key;
      const uint64_t group = key >> 7;
      while (next_extra < extras_.size() &&
             (key == kNoKey || extras_[next_extra].order < (group << 3 | (is_off ? kNoteOff : kNoteOn)))) {
        const Extra& extra = extras_[next_extra++];
        enter(group_step(extra.order >> 3), extra.program < 0 ? program_ : extra.program);
        *end_++ = extra.token;
      }
      if (key == kNoKey) break;
      // What comes before the event is written always and counted only if it is needed: in music these conditions are
      // as good as random, and a processor loses more on a wrong guess than on the write.
      enter(group_step(group), is_score_ ? group_program(group) : program_);
      const int pitch = static_cast<int>(key & 127);
      const int bin = is_off ? velocity_ : vocabulary_.velocity_bin(notes_[on->payload].velocity);
      *end_ = vocabulary_.velocity(bin);
      end_ += bin != velocity_;
      velocity_ = bin;
      *end_++ = is_off ? vocabulary_.note_off(pitch) : vocabulary_.note_on(pitch);
      off += is_off;
      on += !is_off;
    }
    make_room(1);
    *end_++ = Vocabulary::kEosId;
    result_.ids.resize(static_cast<size_t>(end_ - result_.ids.data()));
  }

  // Goes to a step and program and makes room for what happens there.
  void enter(int64_t step, int program) {
    make_room(kMostPerEvent);
    const int64_t gap = step - now_;
    if (gap > vocabulary_.config().max_time_shift) {
      shift_far(gap);
    } else {
      *end_ = vocabulary_.time_shift(static_cast<int>(gap));
      end_ += gap != 0;
    }
    now_ = step;
    *end_ = vocabulary_.program(program);
    end_ += program != program_;
    program_ = program;
  }

  void make_room(size_t count) {
    std::vector<int32_t>& ids = result_.ids;
    const auto used = static_cast<size_t>(end_ - ids.data());
    if (ids.size() - used >= count) return;
    ids.resize(ids.size() + ids.size() / 2 + count);
    end_ = ids.data() + used;
  }

  // A way of more than one time_shift.
  void shift_far(int64_t gap) {
    const int64_t max_gap = vocabulary_.config().max_gap_steps;
    if (gap > max_gap) {
      ++result_.report.clamped_gaps;
      result_.report.clamped_steps += gap - max_gap;
      gap = max_gap;
    }
    const int largest = vocabulary_.config().max_time_shift;
    make_room(static_cast<size_t>(gap / largest) + kMostPerEvent);
    for (; gap > largest; gap -= largest) *end_++ = vocabulary_.time_shift(largest);
    *end_++ = vocabulary_.time_shift(static_cast<int>(gap));
  }

  const MidiData& data_;
  const Vocabulary& vocabulary_;
  const bool is_score_;
  TimeGrid grid_;
  std::array<int, kNumPrograms> place_of_{};
  std::vector<int> programs_;
  int program_bits_ = 0;
  std::vector<Keyed> ons_, offs_;  // (step, program, pitch), sorted
  std::vector<Extra> extras_;
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
