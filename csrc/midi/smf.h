// Standard MIDI Files: bytes to MidiData and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "notes.h"

namespace amt::midi {

// Reads a Standard MIDI File of format 0, 1 or 2. Lenient as a sequencer is: what can be put right is, and listed
// in `repairs`; with `strict`, the first such place throws. Notes are in no particular order.
// Throws MidiError with the byte offset.
MidiData read_smf(const uint8_t* bytes, size_t size, bool strict);

// Writes format 1: a conductor track, then one track per program in use (drums on channel 10).
// The same notes come back from read_smf. Throws std::invalid_argument if a value cannot be written.
std::string write_smf(const MidiData& data);

}  // namespace amt::midi
