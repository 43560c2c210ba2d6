// Its twin is amt/midi/reference/encode.py.
#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arena.h"
#include "bucket_sort.h"
#include "time_grid.h"
#include "tokenizer.h"

namespace amt::midi {
namespace {

// A place stands for a program in use, from 1, in ascending order; place 0 is that of tempo and metre.
struct Span {
  int32_t start, end;
  uint8_t place;
};

struct SteppedNote {
  int32_t start, end;
  uint8_t pitch, bin;
};

struct Place {
  int program;
  SteppedNote* notes;
  SteppedNote* notes_end;
};

// An event is one number, so that events sort as they stand: from the highest bit its step (31 bits), place (8), rank
// in the group of its place (9) and velocity bin (8). At place 0 the token of a change stands below its rank.
constexpr int kRankShift = 8, kPlaceShift = 17, kStepShift = 25;
constexpr int kPedalOffRank = kNumPitches, kPedalOnRank = kPedalOffRank + 1, kNoteOnRank = kPedalOnRank + 1;
constexpr uint32_t kNoBin = 255;
constexpr int kTimeSignatureRank = 0, kTempoRank = 256;

uint64_t make_event(int32_t step, size_t place, int rank, uint64_t bin) {
  return static_cast<uint64_t>(step) << kStepShift | uint64_t{place} << kPlaceShift |
         static_cast<uint64_t>(rank) << kRankShift | bin;
}

int32_t step_of(uint64_t event) { return static_cast<int32_t>(event >> kStepShift); }

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
        grid_(sorted_by_tick(data.tempos), data.ticks_per_beat, vocabulary.config()),
        arena_((2 * sizeof(SteppedNote) + 4 * sizeof(uint64_t) + 8 * sizeof(int32_t)) * data.notes.size() + 4096) {}

  Encoding run() {
    survey();
    quantise_notes();
    result_.report.dropped_key_signatures = static_cast<int64_t>(data_.key_signatures.size());
    for (size_t place = 1; place < num_places_; ++place) collect_notes(place);
    const std::vector<Span> pedals = quantise_pedals();
    if (is_score_) {
      for (const Span& pedal : pedals) {
        add_event(make_event(pedal.start, pedal.place, kPedalOnRank, kNoBin));
        add_event(make_event(pedal.end, pedal.place, kPedalOffRank, kNoBin));
      }
      collect_changes();
    } else if (!pedals.empty()) {
      sustain(pedals);
    }
    emit(bucket_sort(events_, num_events_, arena_.allocate<uint64_t>(num_events_),
                     [](uint64_t event) { return event; }));
    return std::move(result_);
  }

 private:
  // Counts the notes of each program, and refuses pieces whose steps do not fit the types above.
  void survey() {
    std::array<size_t, kNumPrograms> num_notes{};
    std::array<bool, kNumPrograms> has_pedals{};
    int32_t last_tick = 0;
    uint32_t signs = 0;  // the highest bit: something is negative
    const auto see = [&last_tick, &signs](int32_t start_ticks, int32_t end_ticks) {
      const auto start = static_cast<uint32_t>(start_ticks), end = static_cast<uint32_t>(end_ticks);
      signs |= start | end | (end - start);
      last_tick = std::max(last_tick, end_ticks);
    };
    int program_of_run = 0;
    size_t run_len = 0;
    for (const Note& note : data_.notes) {
      see(note.start_ticks, note.end_ticks);
      ++run_len;
      if (program_of(note) == program_of_run) continue;
      num_notes[program_of_run] += run_len - 1;
      program_of_run = program_of(note);
      run_len = 1;
    }
    num_notes[program_of_run] += run_len;
    for (const PedalSpan& pedal : data_.pedals) {
      has_pedals[program_of(pedal)] = true;
      see(pedal.start_ticks, pedal.end_ticks);
    }
    for (const Tempo& tempo : data_.tempos) see(tempo.tick, tempo.tick);
    for (const TimeSignature& signature : data_.time_signatures) see(signature.tick, signature.tick);
    if (signs >> 31 != 0) throw std::invalid_argument("ticks must be positive, and nothing may end before it starts");
    const int64_t last_step = grid_.step(last_tick);
    if (last_step >= std::numeric_limits<int32_t>::max()) {
      throw std::invalid_argument("the piece is too long: it ends at step " + std::to_string(last_step) +
                                  ", which must be below 2^31 - 1");
    }
    SteppedNote* next = arena_.allocate<SteppedNote>(data_.notes.size());
    for (int program = 0; program < kNumPrograms; ++program) {
      if (num_notes[program] == 0 && !has_pedals[program]) continue;
      place_of_[program] = static_cast<uint8_t>(num_places_);
      places_[num_places_++] = {program, next, next};
      next += num_notes[program];
    }
    scratch_notes_ = arena_.allocate<SteppedNote>(data_.notes.size());
    events_ = arena_.allocate<uint64_t>(2 * (data_.notes.size() + data_.pedals.size()) + data_.tempos.size() +
                                        data_.time_signatures.size());
  }

  template <typename T>
  int program_of(const T& item) const {
    return !is_score_ ? 0 : item.is_drum ? kDrums : item.program & 127;
  }

  // Steps 1 and 2 of docs/tokens.md. Puts the notes of each program together.
  void quantise_notes() {
    EncodeReport& report = result_.report;
    report.num_notes = static_cast<int64_t>(data_.notes.size());
    std::array<bool, 128> is_merged{}, is_kit{};
    const int64_t steps_per_beat = vocabulary_.config().steps_per_beat;
    const int64_t drum_length = std::max<int64_t>(1, steps_per_beat / 4) * data_.ticks_per_beat;
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
      } else {
        is_kit[note.program & 127] = true;
        report.dropped_drum_lengths += (int64_t{note.end_ticks} - note.start_ticks) * steps_per_beat != drum_length;
      }
      *places_[place_of_[program_of(note)]].notes_end++ = {
          start, end, static_cast<uint8_t>(note.pitch & 127),
          static_cast<uint8_t>(vocabulary_.velocity_bin(note.velocity))};
    }
    const auto num_programs = std::count(is_merged.begin(), is_merged.end(), true);
    if (!is_score_ && num_programs > 1) report.merged_programs = num_programs;
    report.dropped_kits = std::count(is_kit.begin() + 1, is_kit.end(), true);
    report.moved_us_max = grid_.moved_us_max();
  }

  // Step 3: adds the events of a program's notes, equal ones merged; the next note of a pitch ends the sounding one.
  void collect_notes(size_t place) {
    const size_t num_notes = static_cast<size_t>(places_[place].notes_end - places_[place].notes);
    const SteppedNote* notes = bucket_sort(places_[place].notes, num_notes, scratch_notes_,
                                           [](const SteppedNote& note) { return static_cast<uint64_t>(note.start); });
    const bool has_ends = places_[place].program != kDrums;
    EncodeReport& report = result_.report;
    std::array<uint64_t*, kNumPitches> latest{};  // the start of each pitch's latest note; its end is the next event
    for (size_t i = 0; i < num_notes; ++i) {
      const SteppedNote note = notes[i];
      const uint64_t start = make_event(note.start, place, kNoteOnRank + note.pitch, note.bin);
      const uint64_t end = make_event(note.end, place, note.pitch, kNoBin);
      uint64_t* const before = latest[note.pitch];
      if (before != nullptr && step_of(before[0]) == note.start) {
        before[0] = std::max(before[0], start);
        if (has_ends) before[1] = std::max(before[1], end);
        ++report.merged_notes;
        continue;
      }
      if (has_ends && before != nullptr && step_of(before[1]) > note.start) {
        before[1] = make_event(note.start, place, note.pitch, kNoBin);
        ++report.truncated_notes;
      }
      latest[note.pitch] = events_ + num_events_;
      ++report.kept_notes;
      add_event(start);
      if (has_ends) add_event(end);
    }
  }

  // Step 4: the pedal spans by place and start, overlapping ones joined.
  std::vector<Span> quantise_pedals() {
    std::vector<Span> spans;
    for (const PedalSpan& pedal : data_.pedals) {
      const Span span{static_cast<int32_t>(grid_.step(pedal.start_ticks)),
                      static_cast<int32_t>(grid_.step(pedal.end_ticks)), place_of_[program_of(pedal)]};
      if (pedal.is_drum || span.end <= span.start) {
        ++result_.report.dropped_pedals;
      } else {
        spans.push_back(span);
      }
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
    std::array<int32_t, kNumPitches> next_start;
    next_start.fill(std::numeric_limits<int32_t>::max());
    for (size_t i = num_events_; i > 0; i -= 2) {  // a note's start and its end
      const int pitch = static_cast<int>(events_[i - 1] >> kRankShift & 0x7f);
      const int32_t limit = std::exchange(next_start[pitch], step_of(events_[i - 2]));
      const int32_t end = step_of(events_[i - 1]);
      const auto after = std::upper_bound(pedals.begin(), pedals.end(), end,
                                          [](int32_t step, const Span& span) { return step < span.start; });
      if (after == pedals.begin()) continue;
      const int32_t sustained = std::min(std::prev(after)->end, limit);
      if (sustained <= end) continue;
      events_[i - 1] = make_event(sustained, 1, pitch, kNoBin);
      ++result_.report.sustained_notes;
    }
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
    first_time_signature_ = collect_changes(tokens, vocabulary_.time_signature(common_time), kTimeSignatureRank);
    tokens.clear();
    for (const Tempo& tempo : sorted_by_tick(data_.tempos)) {
      const int index = vocabulary_.tempo_index(tempo.us_per_beat);
      tokens.push_back({static_cast<int32_t>(grid_.step(tempo.tick)), vocabulary_.tempo(index)});
      note_tempo(tempo.us_per_beat, vocabulary_.tempo_us(index));
    }
    first_tempo_ = collect_changes(tokens, vocabulary_.tempo(vocabulary_.tempo_index(500'000)), kTempoRank);
  }

  // Keeps how far tempos are from the marks that stand for them.
  void note_tempo(int64_t us_per_beat, int64_t mark) {
    EncodeReport& report = result_.report;
    const int last = static_cast<int>(vocabulary_.config().tempos_bpm.size()) - 1;
    const int64_t slowest = vocabulary_.tempo_us(0), fastest = vocabulary_.tempo_us(last);
    report.clamped_tempos += us_per_beat > slowest || us_per_beat < fastest;
    report.tempo_ppm_max =
        std::max(report.tempo_ppm_max, std::abs(mark - us_per_beat) * 1'000'000 / std::max<int64_t>(us_per_beat, 1));
  }

  // Returns the token of step 0: the last one there, or else `first`.
  int collect_changes(const std::vector<std::pair<int32_t, int>>& tokens, int first, int rank) {
    size_t i = 0;
    for (; i < tokens.size() && tokens[i].first == 0; ++i) first = tokens[i].second;
    int current = first;
    for (; i < tokens.size(); ++i) {
      const auto [step, token] = tokens[i];
      const bool is_last_of_step = i + 1 == tokens.size() || tokens[i + 1].first != step;
      if (!is_last_of_step || token == current) continue;
      current = token;
      add_event(make_event(step, 0, rank, 0) | static_cast<uint64_t>(token));
    }
    return first;
  }

  void add_event(uint64_t event) { events_[num_events_++] = event; }

  // Step 7.
  void emit(const uint64_t* events) {
    std::array<int, kNoteOnRank + kNumPitches> token_of;  // by rank
    for (int pitch = 0; pitch < kNumPitches; ++pitch) {
      token_of[pitch] = vocabulary_.note_off(pitch);
      token_of[kNoteOnRank + pitch] = vocabulary_.note_on(pitch);
    }
    token_of[kPedalOffRank] = vocabulary_.pedal_off();
    token_of[kPedalOnRank] = vocabulary_.pedal_on();
    std::array<int, kNumPrograms + 1> program_token;  // by place
    for (size_t place = 1; place < num_places_; ++place) {
      program_token[place] = vocabulary_.program(places_[place].program);
    }
    const int no_shift = vocabulary_.time_shift(0), first_velocity = vocabulary_.velocity(0);
    const int64_t max_time_shift = vocabulary_.config().max_time_shift;
    const int64_t longest_lone_shift = std::min(max_time_shift, vocabulary_.config().max_gap_steps);
    // At most a shift, a program, a velocity and the event itself, and what long ways take beyond one shift.
    const int64_t last_step = num_events_ == 0 ? 0 : step_of(events[num_events_ - 1]);
    const int64_t max_gap = std::min(vocabulary_.config().max_gap_steps, last_step);
    const int64_t num_steps = std::min(last_step, static_cast<int64_t>(num_events_) * max_gap);
    int32_t* const ids = arena_.allocate<int32_t>(4 * num_events_ + 3 * data_.plan.size() +
                                                  static_cast<size_t>(num_steps / max_time_shift) + 4);
    int32_t* next = ids;
    // Without a branch: in music these conditions are as good as random, and a wrong guess costs more than the write.
    const auto add_if = [&next](bool is_needed, int id) {
      *next = id;
      next += is_needed;
    };
    *next++ = Vocabulary::kBosId;
    if (is_score_) {
      *next++ = first_time_signature_;
      *next++ = first_tempo_;
    }
    if (vocabulary_.config().has_plans_and_edits) next = write_plan(next);
    int32_t now = 0;
    uint32_t place = is_score_ ? 0 : 1;           // in force; performance has one program and no token for it
    std::array<uint32_t, kNumPrograms + 1> bins;  // in force, by place, or one for all
    bins.fill(kNoBin);
    const uint32_t holders = vocabulary_.config().holds_velocity_by_program ? ~uint32_t{0} : 0;
    for (size_t i = 0; i < num_events_; ++i) {
      const uint64_t event = events[i];
      const int32_t gap = step_of(event) - now;
      now += gap;
      if (gap > longest_lone_shift) {
        next = shift_far(gap, next);
      } else {
        add_if(gap > 0, no_shift + gap);
      }
      const uint32_t bits = static_cast<uint32_t>(event);
      const uint32_t next_place = bits >> kPlaceShift & 0xff;
      if (next_place == 0) {
        *next++ = bits & 0xffff;
        continue;
      }
      add_if(next_place != place, program_token[next_place]);
      place = next_place;
      const uint32_t own_bin = bits & 0xff;
      uint32_t& bin = bins[next_place & holders];
      const uint32_t next_bin = own_bin == kNoBin ? bin : own_bin;
      add_if(next_bin != bin, first_velocity + static_cast<int>(next_bin));
      bin = next_bin;
      *next++ = token_of[bits >> kRankShift & 0x1ff];
    }
    *next++ = Vocabulary::kEosId;
    result_.ids.assign(ids, next);
  }

  // Writes the plan, and returns the place after it.
  int32_t* write_plan(int32_t* next) const {
    int half_bars = 0;  // in force
    for (const PlanChord& chord : data_.plan) {
      if (chord.section != PlanChord::kSameSection) *next++ = vocabulary_.section(chord.section);
      if (chord.half_bars != half_bars) *next++ = vocabulary_.bars(chord.half_bars);
      half_bars = chord.half_bars;
      *next++ = vocabulary_.chord(chord.chord);
    }
    return next;
  }

  // Writes a way of more than one time_shift, or one that must be cut, and returns the place after it.
  int32_t* shift_far(int64_t gap, int32_t* next) {
    const int64_t max_gap = vocabulary_.config().max_gap_steps;
    if (gap > max_gap) {
      ++result_.report.clamped_gaps;
      result_.report.clamped_steps += gap - max_gap;
      gap = max_gap;
    }
    const int largest = vocabulary_.config().max_time_shift;
    for (; gap > largest; gap -= largest) *next++ = vocabulary_.time_shift(largest);
    *next++ = vocabulary_.time_shift(static_cast<int>(gap));
    return next;
  }

  const MidiData& data_;
  const Vocabulary& vocabulary_;
  const bool is_score_;
  TimeGrid grid_;
  std::array<uint8_t, kNumPrograms> place_of_{};
  std::array<Place, kNumPrograms + 1> places_;
  size_t num_places_ = 1;
  Arena arena_;
  SteppedNote* scratch_notes_ = nullptr;
  uint64_t* events_ = nullptr;
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
