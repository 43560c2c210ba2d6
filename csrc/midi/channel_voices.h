// What plays on the channels of a file: programs, banks and drum parts, over all its tracks.
// Its twin is amt/midi/reference/channel_voices.py.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace amt::midi {

// A program, or the kit of drums.
struct Voice {
  uint8_t program;
  bool is_drum;

  bool operator==(const Voice& other) const { return program == other.program && is_drum == other.is_drum; }
};

// Whether a program plays drums: what its bank says, or what its channel is.
enum class Bank : uint8_t { kOfPart, kDrums, kMelodic };

// What the tracks of a file say of its channels.
struct VoiceChanges {
  struct Program {
    int32_t tick;
    int32_t track;
    uint8_t program;
    uint8_t bank_number;
  };

  struct Part {
    int32_t tick;
    bool is_drum;
  };

  static constexpr int32_t kNone = -1, kSeveral = -2;

  VoiceChanges() { waiting.fill(kNone); }

  // Banks 126 and 127 are drum kits of XG. A Roland GS has other instruments there.
  bool is_gs() const { return has_gs_reset && !has_xg_reset; }

  // Whether a track took something for granted that another one, or a later message, says otherwise.
  bool are_needed() const;

  // Puts them in the order of their ticks.
  void sort();

  std::array<std::vector<Program>, 16> programs;  // by channel
  std::array<std::vector<Part>, 16> parts;
  std::array<int32_t, 16> waiting;  // the track that used the channel before a program of its own; kNone, kSeveral
  bool has_gs_reset = false;
  bool has_xg_reset = false;
  bool has_xg_kits = false;
};

// What plays on each channel in one track after the other. The first reading of a file finds the changes; if they are
// needed, a second reading knows them.
//
// - A track's own program changes hold. Before the first one, those of the other tracks do, up to that tick.
// - Bank 120 (GM2), 126 and 127 (XG) are drum kits, bank 121 (GM2) is melodic. The bank is the track's own.
// - With other banks, channel 10 is drums, and what GS "use for rhythm part" or XG "part mode" made one, in any track.
class ChannelVoices {
 public:
  // `known`: of the first reading, sorted; null in the first reading itself.
  ChannelVoices(VoiceChanges& found, const VoiceChanges* known) : found_(found), known_(known) {}

  void start_track();

  // `used_channels`: a bit for each channel with notes or pedals in this track.
  void end_track(unsigned used_channels);

  Voice at(size_t channel) const { return voices_[channel]; }

  bool knows_changes() const { return known_ != nullptr; }

  // Brings a channel to `tick` by the known changes; ticks do not decrease within a track.
  void follow(size_t channel, int32_t tick);

  void select_bank(size_t channel, uint8_t bank) { channels_[channel].bank_number = bank; }

  // `is_used`: a note or a pedal of this track came before.
  void change_program(size_t channel, uint8_t program, int32_t tick, bool is_used);

  // A system exclusive message, without the status byte before it.
  void read_exclusive(const uint8_t* body, int64_t len, int32_t tick);

 private:
  struct Channel {
    size_t num_programs;  // of the known changes: how many lie behind
    size_t num_parts;
    uint8_t bank_number;
    Bank bank;         // of the program in force
    bool has_program;  // of its own, in this track
    bool is_drum_part;
  };

  Bank bank_of(uint8_t number) const;
  void decide(size_t channel);
  void note_waiting(size_t channel);

  std::array<Voice, 16> voices_;
  VoiceChanges& found_;
  const VoiceChanges* known_;
  int32_t track_ = -1;
  std::array<Channel, 16> channels_;
};

}  // namespace amt::midi
