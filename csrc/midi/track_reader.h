// The events of MIDI tracks: which note-off ends which note, pedals, tempo, metre and key.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "byte_reader.h"
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
  TrackReader(MidiData& data, RepairLog& repairs, bool has_tempos)
      : data_(data), repairs_(repairs), has_tempos_(has_tempos) {
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
    program_.fill(0);
    pedal_.fill({-1, 0});
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
          if (first == 64) move_pedal(channel, second >= 64, static_cast<int32_t>(tick));
          break;
        case 0xc:
          program_[channel] = first;
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
  static constexpr int kDrumChannel = 9;

  // Notes that sound on one channel and pitch, oldest first: indices into data_.notes, linked through end_ticks.
  struct Queue {
    int32_t first;
    int32_t last;
  };

  struct Pedal {
    int32_t start_ticks;  // -1: up
    uint8_t program;
  };

  void start_note(int channel, uint8_t pitch, uint8_t velocity, int32_t tick) {
    const int32_t index = static_cast<int32_t>(data_.notes.size());
    Note& note = data_.notes.emplace_back();  // a temporary would be written in bytes and read as words: slow
    note.start_ticks = tick;
    note.end_ticks = -1;
    note.pitch = pitch;
    note.velocity = velocity;
    note.program = program_[channel];
    note.is_drum = channel == kDrumChannel;
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

  void move_pedal(int channel, bool is_down, int32_t tick) {
    Pedal& pedal = pedal_[channel];
    if (is_down && pedal.start_ticks < 0) pedal = {tick, program_[channel]};
    if (is_down || pedal.start_ticks < 0) return;
    data_.pedals.push_back({pedal.start_ticks, tick, pedal.program, channel == kDrumChannel});
    pedal.start_ticks = -1;
  }

  void close_all(const uint8_t* place, int32_t tick) {
    for (int channel = 0; channel < 16; ++channel) {
      if (pedal_[channel].start_ticks >= 0) {
        move_pedal(channel, false, tick);
        repairs_.add(place, Fault::kUnclosedPedal);
      }
      if (!(used_channels_ >> channel & 1)) continue;
      for (int pitch = 0; pitch < 128; ++pitch) {
        while (sounding_[static_cast<size_t>(channel) * 128 + pitch].first >= 0) {
          end_note(channel, static_cast<uint8_t>(pitch), tick);
          repairs_.add(place, Fault::kUnclosedNote);
        }
      }
    }
    used_channels_ = 0;
  }

  // Returns the byte after the event, or null if the event does not fit.
  const uint8_t* read_system_event(const uint8_t* next, const uint8_t* end, int32_t tick, bool& has_end_event) {
    const uint8_t* event = next;
    const uint8_t status = *next++;
    uint8_t type = 0;
    if (status == 0xff) {
      if (next == end) return nullptr;
      type = *next++;
    } else if (status != 0xf0 && status != 0xf7) {
      repairs_.add(event, Fault::kSystemMessage);
      const int data_len = status == 0xf2 ? 2 : status == 0xf1 || status == 0xf3 ? 1 : 0;
      return end - next < data_len ? nullptr : next + data_len;
    }
    const VarLen len = read_var_len(next, end);
    if (len.next == nullptr || len.value > end - len.next) return nullptr;
    if (len.next - next > 4) repairs_.add(next, Fault::kLongVarLen);
    if (status == 0xff) {
      has_end_event = type == 0x2f;
      if (!read_meta(type, len.next, len.value, tick)) repairs_.add(event, Fault::kMetaEvent);
    }
    return len.next + len.value;
  }

  // Returns whether the event is as the standard says.
  bool read_meta(uint8_t type, const uint8_t* body, int64_t len, int32_t tick) {
    if (type == 0x51) {
      if (len < 3) return false;
      const int32_t us_per_beat = static_cast<int32_t>((read_u16(body) << 8) | body[2]);
      if (us_per_beat == 0) return false;
      if (has_tempos_) data_.tempos.push_back({tick, us_per_beat});
      return len == 3;
    }
    if (type == 0x58) {
      if (len < 2 || body[0] == 0 || body[1] > 30) return false;
      data_.time_signatures.push_back({tick, body[0], int32_t{1} << body[1]});
      return len == 4;
    }
    if (type == 0x59) {
      if (len < 2) return false;
      const int8_t sharps = static_cast<int8_t>(body[0]);
      if (sharps < -7 || sharps > 7 || body[1] > 1) return false;
      data_.key_signatures.push_back({tick, sharps, body[1] == 1});
      return len == 2;
    }
    if (type == 0x06 && markers_.size() <= kMaxPlanHalfBars) {
      const auto chord = parse_marker({reinterpret_cast<const char*>(body), static_cast<size_t>(len)});
      if (chord) markers_.push_back({tick, *chord});
    }
    return true;
  }

  MidiData& data_;
  RepairLog& repairs_;
  bool has_tempos_;
  std::vector<Marker> markers_;
  unsigned used_channels_ = 0;
  std::array<uint8_t, 16> program_;
  std::array<Pedal, 16> pedal_;
  std::array<Queue, 16 * 128> sounding_;
};

}  // namespace amt::midi
