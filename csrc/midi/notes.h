// What a MIDI file says, without its bytes: notes, pedals, tempo and metre maps.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "plan.h"

namespace amt::midi {

struct Note {
  int32_t start_ticks;
  int32_t end_ticks;
  uint8_t pitch;
  uint8_t velocity;  // 1..127
  uint8_t program;   // of the channel at the note's start; for drums the kit
  bool is_drum;
};

struct PedalSpan {
  int32_t start_ticks;
  int32_t end_ticks;
  uint8_t program;
  bool is_drum;
};

struct Tempo {
  int32_t tick;
  int32_t us_per_beat;
};

struct TimeSignature {
  int32_t tick;
  uint8_t numerator;
  int32_t denominator;
};

struct KeySignature {
  int32_t tick;
  int8_t sharps;  // negative: flats
  bool is_minor;
};

// Something that the reader put right in lenient mode.
struct Repair {
  int64_t byte_offset;
  std::string reason;
};

struct MidiData {
  int32_t ticks_per_beat = 480;
  int32_t format = 1;
  int32_t end_ticks = 0;  // the last event of any track, end-of-track included
  std::vector<Note> notes;
  std::vector<PedalSpan> pedals;
  std::vector<Tempo> tempos;                   // by tick; may be empty: 120 BPM
  std::vector<TimeSignature> time_signatures;  // by tick; may be empty: 4/4
  std::vector<KeySignature> key_signatures;
  std::vector<Repair> repairs;
  Plan plan;  // may be empty: none
};

// Bytes that cannot be read as MIDI, or (strict) that would need a repair.
class MidiError : public std::runtime_error {
 public:
  MidiError(int64_t byte_offset, const std::string& reason) : std::runtime_error(reason), byte_offset_(byte_offset) {}
  int64_t byte_offset() const { return byte_offset_; }

 private:
  int64_t byte_offset_;
};

}  // namespace amt::midi
