// What is seldom in a track. It stands apart from the loop of track_reader.h, which is faster when it is small.
#include "track_reader.h"

namespace amt::midi {

void TrackReader::control(int channel, uint8_t number, uint8_t value, int32_t tick) {
  if (number == 0) voices_.select_bank(channel, value);
  if (number == 64) move_pedal(channel, value >= 64, tick);
  if (number == 121) move_pedal(channel, false, tick);  // reset all controllers
  if (number == 120 || number >= 123) end_notes(channel, tick);
}

void TrackReader::end_notes(int channel, int32_t tick) {
  if (!(used_channels_ >> channel & 1)) return;
  for (int pitch = 0; pitch < 128; ++pitch) {
    while (sounding_[static_cast<size_t>(channel) * 128 + pitch].first >= 0) {
      end_note(channel, static_cast<uint8_t>(pitch), tick);
    }
  }
}

void TrackReader::move_pedal(int channel, bool is_down, int32_t tick) {
  Pedal& pedal = pedal_[channel];
  if (is_down) used_channels_ |= 1u << channel;
  if (voices_.knows_changes()) follow(channel, tick);
  if (is_down && pedal.start_ticks < 0) pedal = {tick, voices_.at(channel), data_.notes.size()};
  if (is_down || pedal.start_ticks < 0) return;
  data_.pedals.push_back({pedal.start_ticks, tick, pedal.voice.program, pedal.voice.is_drum});
  pedal.start_ticks = -1;
}

void TrackReader::change_pedal(int channel, int32_t tick) {
  Pedal& pedal = pedal_[channel];
  const Voice voice = voices_.at(channel);
  if (pedal.start_ticks < 0 || pedal.voice == voice) return;
  const auto has_its_voice = [&pedal](const Note& note) {
    return note.program == pedal.voice.program && note.is_drum == pedal.voice.is_drum;
  };
  const auto first = data_.notes.begin() + static_cast<std::ptrdiff_t>(pedal.num_notes);
  if (tick > pedal.start_ticks && std::any_of(first, data_.notes.end(), has_its_voice)) {
    data_.pedals.push_back({pedal.start_ticks, tick, pedal.voice.program, pedal.voice.is_drum});
    pedal.start_ticks = tick;
  }
  pedal.voice = voice;
  pedal.num_notes = data_.notes.size();
}

void TrackReader::follow(int channel, int32_t tick) {
  voices_.follow(channel, tick);
  change_pedal(channel, tick);
}

void TrackReader::close_all(const uint8_t* place, int32_t tick) {
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
  voices_.end_track(used_channels_);
  used_channels_ = 0;
}

const uint8_t* TrackReader::read_system_event(const uint8_t* next, const uint8_t* end, int32_t tick,
                                              bool& has_end_event) {
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
  } else {
    voices_.read_exclusive(len.next, len.value, tick);
  }
  return len.next + len.value;
}

bool TrackReader::read_meta(uint8_t type, const uint8_t* body, int64_t len, int32_t tick) {
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

}  // namespace amt::midi
