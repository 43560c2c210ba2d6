// Its twin is amt/midi/reference/decode.py.
#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>

#include "holes.h"
#include "tokenizer.h"

namespace amt::midi {
namespace {

constexpr int32_t kSilent = -1;

class Decoder {
 public:
  explicit Decoder(const Vocabulary& vocabulary)
      : vocabulary_(vocabulary),
        is_score_(vocabulary.config().is_score),
        ticks_per_step_(is_score_ ? 20 : vocabulary.config().step_ms),
        drum_steps_(std::max(1, vocabulary.config().steps_per_beat / 4)),
        open_(static_cast<size_t>(kNumPrograms) * kNumPitches, kSilent),
        pedal_start_(kNumPrograms, kSilent) {
    velocities_.fill(vocabulary.bin_velocity(vocabulary.config().num_velocities / 2));
    MidiData& data = result_.data;
    data.ticks_per_beat = is_score_ ? ticks_per_step_ * vocabulary.config().steps_per_beat : 500;
    data.tempos.push_back({0, 500'000});
    data.time_signatures.push_back({0, 4, 4});
  }

  Decoding run(const int32_t* ids, size_t num_ids, bool only_fill) {
    result_.data.notes.reserve(num_ids / 3);
    for (size_t i = 0; i < num_ids; ++i) {
      if (ids[i] < 0 || ids[i] >= vocabulary_.size()) {
        throw std::invalid_argument("token id " + std::to_string(ids[i]) + " at position " + std::to_string(i) +
                                    " is not in the vocabulary of " + std::to_string(vocabulary_.size()));
      }
      const Event event = vocabulary_.event(ids[i]);
      if (event.kind == Kind::kEos) break;
      apply(event);
    }
    close(only_fill);
    return std::move(result_);
  }

 private:
  void apply(Event event) {
    MidiData& data = result_.data;
    switch (event.kind) {
      case Kind::kSection:
      case Kind::kChord:
      case Kind::kBars:
        add_to_plan(event);
        return;
      case Kind::kPad:
      case Kind::kBos:
      case Kind::kEos:
        return;
      case Kind::kTempo:
      case Kind::kTimeSignature:
        break;
      default:
        is_planned_ = true;
    }
    switch (event.kind) {
      case Kind::kNoteOn:
        note_on(event.value);
        break;
      case Kind::kNoteOff:
        note_off(event.value);
        break;
      case Kind::kTimeShift:
        now_ += part_ == Part::kFill ? std::min<int64_t>(event.value, fill_end_ - now_) : event.value;
        if (now_ >= std::numeric_limits<int32_t>::max() / ticks_per_step_ - drum_steps_) {
          throw std::invalid_argument("the tokens last longer than a MIDI file can (2^31 ticks)");
        }
        break;
      case Kind::kVelocity:
        velocities_[vocabulary_.velocity_holder(program_)] = vocabulary_.bin_velocity(event.value);
        break;
      case Kind::kProgram:
        program_ = event.value;
        break;
      case Kind::kTempo:
        if (is_ignored(part_ == Part::kFill)) break;
        set(data.tempos, Tempo{ticks(now_), vocabulary_.tempo_us(event.value)},
            [](const Tempo& a, const Tempo& b) { return a.us_per_beat == b.us_per_beat; });
        break;
      case Kind::kTimeSignature:
        if (is_ignored(part_ == Part::kFill)) break;
        set(data.time_signatures,
            TimeSignature{ticks(now_), static_cast<uint8_t>(Vocabulary::numerator(event.value)),
                          Vocabulary::denominator(event.value)},
            [](const TimeSignature& a, const TimeSignature& b) {
              return a.numerator == b.numerator && a.denominator == b.denominator;
            });
        break;
      case Kind::kPedalOn:
        if (program_ == kDrums || pedal_start_[program_] != kSilent) {
          ++result_.report.ignored_tokens;
        } else {
          pedal_start_[program_] = ticks(now_);
        }
        break;
      case Kind::kPedalOff:
        if (program_ == kDrums || pedal_start_[program_] == kSilent) {
          ++result_.report.ignored_tokens;
        } else {
          end_pedal(program_);
        }
        break;
      case Kind::kEdit:
        if (!is_ignored(part_ != Part::kNone)) part_ = Part::kContext;
        break;
      case Kind::kHole:
        is_ignored(part_ != Part::kContext || !holes_.take(now_, event.value, program_));
        break;
      case Kind::kFill:
        fill();
        break;
      default:
        break;
    }
  }

  // A token of the plan: what does not belong to one is ignored.
  void add_to_plan(Event event) {
    if (is_planned_) {
      ++result_.report.ignored_tokens;
      return;
    }
    Plan& plan = result_.data.plan;
    if (event.kind == Kind::kBars) {
      half_bars_ = event.value;
    } else if (event.kind == Kind::kSection) {
      result_.report.ignored_tokens += section_ != PlanChord::kSameSection;
      section_ = event.value;
    } else if ((plan.empty() && section_ == PlanChord::kSameSection) || half_bars_ == 0 ||
               planned_half_bars_ + half_bars_ > kMaxPlanHalfBars) {
      ++result_.report.ignored_tokens;
    } else {
      append(plan, {section_, event.value, half_bars_});
      planned_half_bars_ += half_bars_;
      section_ = PlanChord::kSameSection;
    }
  }

  bool is_ignored(bool is_so) {
    result_.report.ignored_tokens += is_so;
    return is_so;
  }

  // Ends what sounds, and goes to the next part; nothing is in force there, as at a beginning.
  void fill() {
    HoleTrack::Interval part{0, 0};
    if (part_ != Part::kNone) {
      end_all();
      holes_.close(now_);
      part = holes_.next_interval(fill_end_);
    }
    if (is_ignored(!part.is_there())) return;
    if (part_ == Part::kContext) {
      num_notes_of_context_ = result_.data.notes.size();
      num_pedals_of_context_ = result_.data.pedals.size();
    }
    part_ = Part::kFill;
    now_ = part.start;
    fill_end_ = part.end;
    program_ = 0;
    velocities_.fill(vocabulary_.bin_velocity(vocabulary_.config().num_velocities / 2));
  }

  // The last change of a tick counts; a change to the value in force is none.
  template <typename Change, typename Same>
  void set(std::vector<Change>& changes, const Change& change, Same same) {
    if (changes.back().tick == change.tick) {
      if (changes.size() > 1) {
        changes.pop_back();
      } else {
        changes.back() = change;
      }
    }
    if (!same(changes.back(), change)) changes.push_back(change);
  }

  int32_t& open(int program, int pitch) { return open_[static_cast<size_t>(program) * kNumPitches + pitch]; }

  void note_on(int pitch) {
    std::vector<Note>& notes = result_.data.notes;
    int32_t& sounding = open(program_, pitch);
    const bool is_drum = program_ == kDrums;
    if (sounding != kSilent) {
      Note& before = notes[sounding];
      if (is_drum) {
        if (before.start_ticks == ticks(now_)) {
          ++result_.report.ignored_tokens;
          return;
        }
        before.end_ticks = std::min(before.end_ticks, ticks(now_));
      } else {
        end_note(sounding);
      }
    }
    sounding = static_cast<int32_t>(notes.size());
    Note& note = notes.emplace_back();  // a temporary would be written in bytes and read as words: slow
    note.start_ticks = ticks(now_);
    note.end_ticks = is_drum ? ticks(now_ + drum_steps_) : kSilent;
    note.pitch = static_cast<uint8_t>(pitch);
    note.velocity = static_cast<uint8_t>(velocities_[vocabulary_.velocity_holder(program_)]);
    note.program = static_cast<uint8_t>(is_drum ? 0 : program_);
    note.is_drum = is_drum;
  }

  void note_off(int pitch) {
    int32_t& sounding = open(program_, pitch);
    if (program_ == kDrums || sounding == kSilent) {
      ++result_.report.ignored_tokens;
      return;
    }
    end_note(sounding);
    sounding = kSilent;
  }

  void end_note(int32_t index) {
    Note& note = result_.data.notes[index];
    note.end_ticks = ticks(now_);
    if (note.end_ticks == note.start_ticks) {
      ++result_.report.dropped_notes;
      has_dropped_ = true;
    }
  }

  void end_pedal(int program) {
    if (pedal_start_[program] < ticks(now_)) {
      result_.data.pedals.push_back({pedal_start_[program], ticks(now_), static_cast<uint8_t>(program), false});
    }
    pedal_start_[program] = kSilent;
  }

  void end_all() {
    for (Note& note : result_.data.notes) {
      if (note.end_ticks == kSilent) {
        note.end_ticks = std::max(ticks(now_), note.start_ticks + ticks_per_step_);
        ++result_.report.closed_notes;
      }
    }
    std::fill(open_.begin(), open_.end(), kSilent);
    for (int program = 0; program < kDrums; ++program) {
      if (pedal_start_[program] != kSilent) end_pedal(program);
    }
  }

  // One note for equal program, pitch and start; a note ends where the next of its pitch starts.
  void cut_overlaps() {
    std::vector<Note>& notes = result_.data.notes;
    const auto place = [](const Note& note) { return std::make_tuple(note.is_drum, note.program, note.pitch); };
    std::sort(notes.begin(), notes.end(), [&place](const Note& a, const Note& b) {
      return std::make_tuple(place(a), a.start_ticks, -a.end_ticks, -a.velocity) <
             std::make_tuple(place(b), b.start_ticks, -b.end_ticks, -b.velocity);
    });
    size_t num_kept = 0;
    for (const Note& note : notes) {
      if (num_kept > 0 && place(notes[num_kept - 1]) == place(note)) {
        Note& before = notes[num_kept - 1];
        if (before.start_ticks == note.start_ticks) continue;
        before.end_ticks = std::min(before.end_ticks, note.start_ticks);
      }
      notes[num_kept++] = note;
    }
    notes.resize(num_kept);
    std::sort(notes.begin(), notes.end(), [](const Note& a, const Note& b) {
      return std::make_tuple(a.start_ticks, a.is_drum, a.program, a.pitch) <
             std::make_tuple(b.start_ticks, b.is_drum, b.program, b.pitch);
    });
  }

  void unite_pedals() {
    std::vector<PedalSpan>& pedals = result_.data.pedals;
    std::sort(pedals.begin(), pedals.end(), [](const PedalSpan& a, const PedalSpan& b) {
      return std::make_tuple(a.program, a.start_ticks, a.end_ticks) <
             std::make_tuple(b.program, b.start_ticks, b.end_ticks);
    });
    size_t num_kept = 0;
    for (const PedalSpan& span : pedals) {
      if (num_kept > 0 && pedals[num_kept - 1].program == span.program &&
          span.start_ticks < pedals[num_kept - 1].end_ticks) {
        pedals[num_kept - 1].end_ticks = std::max(pedals[num_kept - 1].end_ticks, span.end_ticks);
      } else {
        pedals[num_kept++] = span;
      }
    }
    pedals.resize(num_kept);
  }

  void close(bool only_fill) {
    result_.report.ignored_tokens += section_ != PlanChord::kSameSection;  // it has no chord
    MidiData& data = result_.data;
    end_all();
    if (only_fill) {
      const bool is_filled = part_ == Part::kFill;
      const size_t num_notes = is_filled ? num_notes_of_context_ : data.notes.size();
      const size_t num_pedals = is_filled ? num_pedals_of_context_ : data.pedals.size();
      data.notes.erase(data.notes.begin(), data.notes.begin() + static_cast<std::ptrdiff_t>(num_notes));
      data.pedals.erase(data.pedals.begin(), data.pedals.begin() + static_cast<std::ptrdiff_t>(num_pedals));
    }
    if (has_dropped_) {
      data.notes.erase(std::remove_if(data.notes.begin(), data.notes.end(),
                                      [](const Note& note) { return note.end_ticks == note.start_ticks; }),
                       data.notes.end());
    }
    if (part_ == Part::kFill) {
      cut_overlaps();
      unite_pedals();
    }
    for (const Note& note : data.notes) data.end_ticks = std::max(data.end_ticks, note.end_ticks);
    for (const PedalSpan& pedal : data.pedals) data.end_ticks = std::max(data.end_ticks, pedal.end_ticks);
    data.end_ticks = std::max({data.end_ticks, data.tempos.back().tick, data.time_signatures.back().tick});
    std::sort(data.pedals.begin(), data.pedals.end(), [](const PedalSpan& a, const PedalSpan& b) {
      return a.start_ticks != b.start_ticks ? a.start_ticks < b.start_ticks : a.program < b.program;
    });
  }

  int32_t ticks(int64_t step) const { return static_cast<int32_t>(step * ticks_per_step_); }

  const Vocabulary& vocabulary_;
  const bool is_score_;
  const int32_t ticks_per_step_, drum_steps_;
  std::vector<int32_t> open_;         // by program and pitch: the sounding note's index, for drums the last hit's
  std::vector<int32_t> pedal_start_;  // by program, in ticks
  bool has_dropped_ = false;
  enum class Part : uint8_t { kNone, kContext, kFill };  // of an edit

  int64_t now_ = 0;
  int program_ = 0;
  Part part_ = Part::kNone;
  HoleTrack holes_;
  int64_t fill_end_ = 0;  // of the part that is being filled
  size_t num_notes_of_context_ = 0, num_pedals_of_context_ = 0;
  bool is_planned_ = false;                    // the music has begun: no plan may come any more
  int section_ = PlanChord::kSameSection;      // that has no chord yet
  int half_bars_ = 0, planned_half_bars_ = 0;  // in force; of the plan so far
  std::array<int, kNumPrograms> velocities_;   // in force: of each program, or the first for all
  Decoding result_;
};

}  // namespace

Decoding decode(const int32_t* ids, size_t num_ids, const Vocabulary& vocabulary, bool only_fill) {
  return Decoder(vocabulary).run(ids, num_ids, only_fill);
}

}  // namespace amt::midi
