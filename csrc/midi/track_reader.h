// The events of MIDI tracks: which note-off ends which note, pedals, tempo, metre and key.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "byte_reader.h"
#include "channel_voices.h"
#include "notes.h"
#include "plan.h"
#include "repair_log.h"

namespace amt::midi {

// Where a track's events stopped, and when.
struct TrackEnd {
  const uint8_t* next;
  int64_t tick;
};

// A chord of a plan, and where its marker stands.
struct Marker {
  int32_t tick;
  PlanChord chord;
};

// Reads the events of one track after the other into a MidiData.
class TrackReader {
 public:
  TrackReader(MidiData& data, RepairLog& repairs, bool has_tempos, ChannelVoices voices)
      : data_(data), repairs_(repairs), has_tempos_(has_tempos), voices_(voices) {
    sounding_.fill({-1, -1});
  }

  // Of a plan, in the order of the file; at most one more than a plan can have.
  const std::vector<Marker>& markers() const { return markers_; }

  // `start_tick` is where the track's time begins.
  TrackEnd read(const uint8_t* bytes, const uint8_t* end, int64_t start_tick) {
    const uint8_t* next = bytes;
    int64_t tick = start_tick;
    uint8_t status = 0;
    bool is_stale = false;  // a meta or system event came after the status byte
    bool has_end_event = false;
    voices_.start_track();
    pedal_.fill({-1, {0, false}, 0});
    while (true) {
      const uint8_t* event = next;
      if (end - event < 2) {
        repairs_.add(event, event == end ? Fault::kNoEnd : Fault::kCut);
        next = end;
        break;
      }
      const bool is_long = event[0] >= 0x80;  // half of the time, in no order: no branch for two bytes
      int64_t delta = is_long ? (event[0] & 0x7f) << 7 | event[1] : event[0];
      next = event + 1 + is_long;
      if (is_long & (event[1] >= 0x80)) {
        next = event + 1;
        const VarLen var_len = read_var_len(event, end);
        if (var_len.next == nullptr) {
          repairs_.add(event, Fault::kCut);
          break;
        }
        next = var_len.next;
        delta = var_len.value;
        if (next - event > 4) repairs_.add(event, Fault::kLongVarLen);
      }
      if (next == end) {
        repairs_.add(event, Fault::kCut);
        break;
      }
      if (delta > kMaxTicks - tick) {
        repairs_.add(event, Fault::kTickLimit);
        delta = kMaxTicks - tick;
      }
      tick += delta;
      if (*next >= 0xf0) {
        is_stale = true;
        next = read_system_event(next, end, static_cast<int32_t>(tick), has_end_event);
        if (next == nullptr) {
          repairs_.add(event, Fault::kCut);
          next = end;
          break;
        }
        if (has_end_event) break;
        continue;
      }
      if (*next >= 0x80) {
        status = *next++;
        is_stale = false;
      } else if (status == 0) {
        repairs_.add(next++, Fault::kNoStatus);
        continue;
      } else if (is_stale) {
        repairs_.add(next, Fault::kStaleStatus);
        is_stale = false;
      }
      const int data_len = (status & 0xe0) == 0xc0 ? 1 : 2;
      if (end - next < data_len) {
        repairs_.add(event, Fault::kCut);
        next = end;
        break;
      }
      uint8_t first = next[0];
      uint8_t second = next[data_len - 1];
      if ((first | second) & 0x80) {
        repairs_.add(next, Fault::kDataByte);
        first = std::min<uint8_t>(first, 127);
        second = std::min<uint8_t>(second, 127);
      }
      next += data_len;
      const int channel = status & 0x0f;
      switch (status >> 4) {
        case 0x9:
          if (second != 0) {
            start_note(channel, first, second, static_cast<int32_t>(tick));
            break;
          }
          [[fallthrough]];
        case 0x8:
          end_note(channel, first, static_cast<int32_t>(tick));
          break;
        case 0xb:
          control(channel, first, second, static_cast<int32_t>(tick));
          break;
        case 0xc:
          voices_.change_program(channel, first, static_cast<int32_t>(tick), used_channels_ >> channel & 1);
          change_pedal(channel, static_cast<int32_t>(tick));
          break;
        default:  // aftertouch and pitch bend
          break;
      }
    }
    close_all(next, static_cast<int32_t>(tick));
    return {next, tick};
  }

 private:
  static constexpr int64_t kMaxTicks = INT32_MAX;

  // Notes that sound on one channel and pitch, oldest first: indices into data_.notes, linked through end_ticks.
  struct Queue {
    int32_t first;
    int32_t last;
  };

  struct Pedal {
    int32_t start_ticks;  // -1: up
    Voice voice;
    size_t num_notes;  // of all that lie before those of `voice`
  };

  void start_note(int channel, uint8_t pitch, uint8_t velocity, int32_t tick) {
    const int32_t index = static_cast<int32_t>(data_.notes.size());
    if (voices_.knows_changes()) follow(channel, tick);
    const Voice voice = voices_.at(channel);
    Note& note = data_.notes.emplace_back();  // a temporary would be written in bytes and read as words: slow
    note.start_ticks = tick;
    note.end_ticks = -1;
    note.pitch = pitch;
    note.velocity = velocity;
    note.program = voice.program;
    note.is_drum = voice.is_drum;
    Queue& queue = sounding_[static_cast<size_t>(channel) * 128 + pitch];
    if (queue.first < 0) {
      queue.first = index;
      used_channels_ |= 1u << channel;
    } else {
      data_.notes[queue.last].end_ticks = index;
    }
    queue.last = index;
  }

  void end_note(int channel, uint8_t pitch, int32_t tick) {
    Queue& queue = sounding_[static_cast<size_t>(channel) * 128 + pitch];
    if (queue.first < 0) return;
    Note& note = data_.notes[queue.first];
    queue.first = note.end_ticks;
    note.end_ticks = tick;
  }

  void control(int channel, uint8_t number, uint8_t value, int32_t tick);

  // All sound off, all notes off, and the changes of mode, which do that, too.
  void end_notes(int channel, int32_t tick);

  void move_pedal(int channel, bool is_down, int32_t tick);

  // The voice of a channel may have changed under its pedal: the pedal came before its program, or holds for two.
  void change_pedal(int channel, int32_t tick);

  void follow(int channel, int32_t tick);

  void close_all(const uint8_t* place, int32_t tick);

  // Returns the byte after the event, or null if the event does not fit.
  const uint8_t* read_system_event(const uint8_t* next, const uint8_t* end, int32_t tick, bool& has_end_event);

  // Returns whether the event is as the standard says.
  bool read_meta(uint8_t type, const uint8_t* body, int64_t len, int32_t tick);

  MidiData& data_;
  RepairLog& repairs_;
  bool has_tempos_;
  std::vector<Marker> markers_;
  unsigned used_channels_ = 0;
  ChannelVoices voices_;
  std::array<Pedal, 16> pedal_;
  std::array<Queue, 16 * 128> sounding_;
};

}  // namespace amt::midi
