// Its twin is amt/midi/reference/edits.py.
#include "edits.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "holes.h"

namespace amt::midi {
namespace {

// The order of a step: metre, tempo, holes of all, then program by program these.
enum Rank : uint8_t { kHole, kNoteOff, kPedalOff, kPedalOn, kNoteOn };
constexpr int kMetreRank = 0, kTempoRank = 1, kAllHoleRank = 2;
constexpr int kNoBin = -1, kPedalPitch = kNumPitches;

struct SteppedEvent {
  int64_t step;
  uint32_t order;  // program + 1, rank, value
  int32_t token;
  int16_t program, bin;
};

struct SteppedNote {  // or pedal
  int64_t start, end;
  int16_t program, pitch, bin;
};

SteppedEvent make_event(int64_t step, int program, int rank, int value, int32_t token, int bin = kNoBin) {
  const auto order = static_cast<uint32_t>((program + 1) << 16 | rank << 8 | value);
  return {step, order, token, static_cast<int16_t>(program), static_cast<int16_t>(bin)};
}

bool is_plan(Kind kind) { return kind == Kind::kSection || kind == Kind::kChord || kind == Kind::kBars; }

class EditRow {
 public:
  explicit EditRow(const Vocabulary& vocabulary)
      : vocabulary_(vocabulary), sounding_(static_cast<size_t>(kNumPrograms) * (kNumPitches + 1), kSilent) {
    bins_.fill(static_cast<int16_t>(vocabulary.config().num_velocities / 2));
  }

  std::vector<int32_t> run(const int32_t* ids, size_t num_ids, std::vector<StepHole> holes, int64_t end_step) {
    make_track(std::move(holes));
    read(ids, num_ids, end_step);
    for (const SteppedNote& note : notes_) place(note);
    row_.push_back(vocabulary_.edit());
    emit(context_, 0);
    for (size_t i = 0; i < intervals_.size(); ++i) {
      row_.push_back(vocabulary_.fill());
      emit(parts_[i], intervals_[i].start);
    }
    row_.push_back(Vocabulary::kEosId);
    return std::move(row_);
  }

 private:
  static constexpr int64_t kSilent = -1, kMaxSteps = int64_t{1} << 22;

  [[noreturn]] static void fail(const std::string& reason) { throw std::invalid_argument(reason); }

  static std::string words(const StepHole& hole) {
    return "(" + std::to_string(hole.program) + ", " + std::to_string(hole.start) + ", " + std::to_string(hole.end) +
           ")";
  }

  // What the hole tokens say, and the parts to be filled.
  void make_track(std::vector<StepHole> holes) {
    std::sort(holes.begin(), holes.end(), [](const StepHole& a, const StepHole& b) {
      return std::tie(a.program, a.start, a.end) < std::tie(b.program, b.start, b.end);
    });
    std::vector<StepHole> of_all;
    for (const StepHole& hole : holes) {
      if (hole.program == StepHole::kAll) of_all.push_back(hole);
    }
    struct Change {
      int64_t step;
      int place, program;
    };
    std::vector<Change> changes;
    for (size_t i = 0; i < holes.size(); ++i) {
      const StepHole& hole = holes[i];
      if (hole.end > kMaxSteps) fail("a hole ends at step " + std::to_string(kMaxSteps) + " at the latest");
      if (hole.start < 0 || hole.start >= hole.end || hole.program < StepHole::kAll || hole.program > kDrums) {
        fail("a hole is a program, a first step and a later one, got " + words(hole));
      }
      if (i > 0 && holes[i - 1].program == hole.program && holes[i - 1].end >= hole.start) {
        fail("holes of one program may not touch, got " + words(holes[i - 1]) + " and " + words(hole));
      }
      const bool is_of_all = hole.program == StepHole::kAll;
      bool runs_into_all = false;
      for (const StepHole& other : of_all) {
        if (is_of_all) break;
        if (hole.start < other.end && other.start < hole.end) {
          fail("a hole of all programs covers " + words(hole) + "; leave that out there");
        }
        runs_into_all = runs_into_all || other.start == hole.end;
      }
      const int first = is_of_all ? kAllBegin : kHoleBegins;
      changes.push_back({hole.start, first, hole.program});
      // Where all are missing from there on, nobody says that one is back.
      if (!runs_into_all) changes.push_back({hole.end, first + 1, hole.program});
    }
    if (changes.empty()) fail("an edit needs a hole");
    if (changes.size() > kMaxHoleTokens) {
      fail("an edit has at most " + std::to_string(kMaxHoleTokens) + " hole tokens, these holes need " +
           std::to_string(changes.size()));
    }
    std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
      return std::tie(a.step, a.program, a.place) < std::tie(b.step, b.program, b.place);
    });
    for (const auto& [step, place, program] : changes) {
      const bool is_of_all = program == StepHole::kAll;
      track_.take(step, place, is_of_all ? 0 : program);
      const int32_t token = vocabulary_.hole(place);
      context_.push_back(make_event(step, program, is_of_all ? kAllHoleRank : kHole, 0, token));
    }
    for (HoleTrack::Interval found = track_.next_interval(0); found.is_there();
         found = track_.next_interval(found.end)) {
      intervals_.push_back(found);
    }
    parts_.resize(intervals_.size());
  }

  // The music of ids, as `decode` reads them.
  void read(const int32_t* ids, size_t num_ids, int64_t end_step) {
    const auto event_at = [&](size_t position) {
      if (ids[position] < 0 || ids[position] >= vocabulary_.size()) {
        fail("token id " + std::to_string(ids[position]) + " is not in the vocabulary of " +
             std::to_string(vocabulary_.size()));
      }
      return vocabulary_.event(ids[position]);
    };
    if (num_ids < 3 || event_at(0).kind != Kind::kBos || event_at(1).kind != Kind::kTimeSignature ||
        event_at(2).kind != Kind::kTempo) {
      fail("an edit is made of music that begins with bos, time_signature, tempo");
    }
    size_t position = 3;
    while (position < num_ids && is_plan(event_at(position).kind)) ++position;
    row_.assign(ids, ids + position);
    for (; position < num_ids; ++position) {
      const Event event = event_at(position);
      if (event.kind == Kind::kEos) break;
      if (event.kind == Kind::kTimeShift) {
        now_ += event.value;
        if (end_step < 0 || now_ < end_step) continue;
        now_ = end_step;
        break;
      }
      read(event, ids[position], position);
    }
    for (int program = 0; program < kDrums; ++program) {
      for (int pitch = 0; pitch <= kPedalPitch; ++pitch) {
        const int64_t index = sounding(program, pitch);
        if (index == kSilent) continue;
        SteppedNote& note = notes_[static_cast<size_t>(index)];
        note.end = pitch == kPedalPitch ? now_ : std::max(now_, note.start + 1);
      }
    }
  }

  void read(Event event, int32_t id, size_t position) {
    switch (event.kind) {
      case Kind::kProgram:
        program_ = event.value;
        break;
      case Kind::kVelocity:
        bins_[vocabulary_.velocity_holder(program_)] = static_cast<int16_t>(event.value);
        break;
      case Kind::kTimeSignature:
      case Kind::kTempo:
        context_.push_back(make_event(now_, -1, event.kind == Kind::kTempo ? kTempoRank : kMetreRank, 0, id));
        break;
      case Kind::kNoteOn:
        note_on(event.value);
        break;
      case Kind::kNoteOff:
        if (program_ != kDrums) end(event.value);
        break;
      case Kind::kPedalOn:
        if (program_ != kDrums && sounding(program_, kPedalPitch) == kSilent) begin(kPedalPitch, kNoBin);
        break;
      case Kind::kPedalOff:
        if (program_ != kDrums) end(kPedalPitch);
        break;
      case Kind::kSection:
      case Kind::kChord:
      case Kind::kBars:
      case Kind::kEdit:
      case Kind::kHole:
      case Kind::kFill:
        fail("an edit is made of music alone, got another token at position " + std::to_string(position));
      case Kind::kPad:
      case Kind::kBos:
      case Kind::kEos:
      case Kind::kTimeShift:
        break;
    }
  }

  int64_t& sounding(int program, int pitch) {
    return sounding_[static_cast<size_t>(program) * (kNumPitches + 1) + static_cast<size_t>(pitch)];
  }

  void begin(int pitch, int bin) {
    sounding(program_, pitch) = static_cast<int64_t>(notes_.size());
    notes_.push_back(
        {now_, now_, static_cast<int16_t>(program_), static_cast<int16_t>(pitch), static_cast<int16_t>(bin)});
  }

  void end(int pitch) {
    int64_t& index = sounding(program_, pitch);
    if (index == kSilent) return;
    notes_[static_cast<size_t>(index)].end = now_;
    index = kSilent;
  }

  void note_on(int pitch) {
    const int64_t before = sounding(program_, pitch);
    if (program_ == kDrums) {
      if (before != kSilent && notes_[static_cast<size_t>(before)].start == now_) return;
    } else {
      end(pitch);
    }
    begin(pitch, bins_[vocabulary_.velocity_holder(program_)]);
  }

  // Puts a note into the context, or into the part in whose hole it starts.
  void place(const SteppedNote& note) {
    const bool is_drum = note.program == kDrums;
    if (!is_drum && note.end == note.start) return;
    std::vector<SteppedEvent>* events = &context_;
    int64_t end = note.end;
    if (track_.missing_at(note.start).has(note.program)) {
      size_t index = 0;
      while (index + 1 < intervals_.size() && intervals_[index + 1].start <= note.start) ++index;
      events = &parts_[index];
      end = std::min(end, intervals_[index].end);
    }
    const bool is_pedal = note.pitch == kPedalPitch;
    const int value = is_pedal ? 0 : note.pitch;
    const int32_t on = is_pedal ? vocabulary_.pedal_on() : vocabulary_.note_on(value);
    const int32_t off = is_pedal ? vocabulary_.pedal_off() : vocabulary_.note_off(value);
    events->push_back(make_event(note.start, note.program, is_pedal ? kPedalOn : kNoteOn, value, on, note.bin));
    if (!is_drum) events->push_back(make_event(end, note.program, is_pedal ? kPedalOff : kNoteOff, value, off));
  }

  // Writes events in order, with the ways between them and what is in force.
  void emit(std::vector<SteppedEvent>& events, int64_t now) {
    std::sort(events.begin(), events.end(), [](const SteppedEvent& a, const SteppedEvent& b) {
      return a.step != b.step ? a.step < b.step : a.order < b.order;
    });
    int program = -1;
    std::array<int16_t, kNumPrograms> bins;
    bins.fill(kNoBin);
    const int64_t largest = vocabulary_.config().max_time_shift;
    for (const SteppedEvent& event : events) {
      while (event.step > now) {
        const int64_t shift = std::min(event.step - now, largest);
        now += shift;
        row_.push_back(vocabulary_.time_shift(static_cast<int>(shift)));
      }
      if (event.program >= 0 && event.program != program) {
        program = event.program;
        row_.push_back(vocabulary_.program(program));
      }
      if (event.bin != kNoBin) {
        int16_t& bin = bins[vocabulary_.velocity_holder(event.program)];
        if (bin != event.bin) row_.push_back(vocabulary_.velocity(event.bin));
        bin = event.bin;
      }
      row_.push_back(event.token);
    }
  }

  const Vocabulary& vocabulary_;
  HoleTrack track_;
  std::vector<HoleTrack::Interval> intervals_;
  std::vector<SteppedEvent> context_;
  std::vector<std::vector<SteppedEvent>> parts_;
  std::vector<SteppedNote> notes_;  // and pedals
  std::vector<int64_t> sounding_;   // by program and pitch: the note's index, for drums the last hit's
  std::array<int16_t, kNumPrograms> bins_;
  int64_t now_ = 0;
  int program_ = 0;
  std::vector<int32_t> row_;
};

}  // namespace

std::vector<int32_t> edit_row(const int32_t* ids, size_t num_ids, std::vector<StepHole> holes, int64_t end_step,
                              const Vocabulary& vocabulary) {
  if (!vocabulary.config().has_plans_and_edits) {
    throw std::invalid_argument("the vocabulary has no edits; they need version 2 of the preset score");
  }
  return EditRow(vocabulary).run(ids, num_ids, std::move(holes), end_step);
}

}  // namespace amt::midi
