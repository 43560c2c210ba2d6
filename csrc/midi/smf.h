// Standard MIDI Files: bytes to MidiData and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "notes.h"

namespace amt::midi {

// Reads a Standard MIDI File of format 0, 1 or 2, also inside RIFF (RMID). Lenient as a sequencer is: what can be put
// right is, and listed in `repairs`; with `strict`, the first such place throws. Throws MidiError with the byte offset.
//
// - A note-off (or a note-on of velocity 0) ends the oldest note that sounds on its track, channel and pitch; stray
//   ones are ignored. Notes of no length stay. A note without a note-off ends with its track, a repair.
// - All notes off, all sound off and the changes of mode (controllers 120, 123 to 127) end what sounds on their track
// and
//   channel; reset all controllers (121) lifts the pedal.
// - A note's program is the last one that its track gave to its channel, or, if it gave none, that of the other tracks;
//   channel 10, banks and exclusive messages say what is drums (channel_voices.h).
// - A pedal span has the program of the first note that starts under it on its track and channel, or else that of its
//   start. Where a note of another program starts, it ends, and another one begins. Other controllers are ignored.
// - Tempo, time and key signatures of all tracks are merged; the last of equal ticks stays.
// - The tracks of format 2 are pieces of their own: they follow one another, each starting with 120 BPM and 4/4.
// - SMPTE time is 60 BPM with (frames a second) * (ticks a frame) ticks a beat, and 1.001 s a beat for 29.97 frames;
//   tempo events are ignored.
// - The markers of a plan, see marker_text, make one if each stands at the first tick of its half bar or, behind the
//   end, at the last tick. All other markers, and a plan of which one has moved, are ignored.
// - A track lasts to its end-of-track event. Where a chunk's length disagrees and no chunk follows it, the events
//   decide.
//
// Work and memory are bounded by `size`, never by a length that the file declares. Ticks stay at 2^31 - 1; repairs are
// counted per kind and track, and there are at most 257. Notes are in no particular order.
MidiData read_smf(const uint8_t* bytes, size_t size, bool strict);

// Writes format 1 with running status: a conductor track, then one track per program in use, drum kits on channel 10.
// read_smf returns the same notes, pedals and maps. The bytes do not depend on the order of notes and pedals.
//
// Notes that overlap one of their pitch and program go to further tracks of the same channel, because readers disagree
// on which of two a note-off ends. Beyond 15 melodic programs, channels are shared: readers that keep the channels of
// tracks apart, as most do, still see the right program, a synthesizer does not.
//
// A plan is written as markers, one for each chord, at the first tick of its half bar.
//
// Throws std::invalid_argument if a value cannot be written, or if one program needed more than 255 tracks.
std::string write_smf(const MidiData& data);

// The metre at tick 0, in whose half bars a plan counts.
TimeSignature first_metre(const MidiData& data);

}  // namespace amt::midi
