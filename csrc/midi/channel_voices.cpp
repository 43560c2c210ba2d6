#include "channel_voices.h"

#include <algorithm>

namespace amt::midi {
namespace {

constexpr size_t kDrumChannel = 9;

template <typename Change>
void sort_by_tick(std::vector<Change>& changes) {
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.tick < b.tick; });
}

// How many changes lie at `tick` or before, if `num_passed` of them do for sure.
template <typename Change>
size_t pass(const std::vector<Change>& changes, size_t num_passed, int32_t tick) {
  if (num_passed == changes.size() || changes[num_passed].tick > tick) return num_passed;
  const auto is_later = [](int32_t value, const Change& change) { return value < change.tick; };
  const auto next = changes.begin() + static_cast<std::ptrdiff_t>(num_passed);
  return static_cast<size_t>(std::upper_bound(next, changes.end(), tick, is_later) - changes.begin());
}

}  // namespace

bool VoiceChanges::are_needed() const {
  if (has_xg_kits && is_gs()) return true;
  for (size_t channel = 0; channel < 16; ++channel) {
    if (!parts[channel].empty()) return true;
    const int32_t track = waiting[channel];
    if (track == kNone) continue;
    const auto is_other = [track](const Program& change) { return change.track != track; };
    if (std::any_of(programs[channel].begin(), programs[channel].end(), is_other)) return true;
  }
  return false;
}

void VoiceChanges::sort() {
  for (std::vector<Program>& changes : programs) sort_by_tick(changes);
  for (std::vector<Part>& changes : parts) sort_by_tick(changes);
}

void ChannelVoices::start_track() {
  ++track_;
  voices_.fill({0, false});
  voices_[kDrumChannel].is_drum = true;
  channels_.fill({0, 0, 0, Bank::kOfPart, false, false});
  channels_[kDrumChannel].is_drum_part = true;
}

void ChannelVoices::end_track(unsigned used_channels) {
  for (size_t channel = 0; channel < 16; ++channel) {
    if (used_channels >> channel & 1) note_waiting(channel);
  }
}

void ChannelVoices::follow(size_t channel, int32_t tick) {
  Channel& state = channels_[channel];
  const std::vector<VoiceChanges::Part>& parts = known_->parts[channel];
  const size_t num_parts = pass(parts, state.num_parts, tick);
  if (num_parts != state.num_parts) {
    state.num_parts = num_parts;
    state.is_drum_part = parts[num_parts - 1].is_drum;
    decide(channel);
  }
  if (state.has_program) return;
  const std::vector<VoiceChanges::Program>& programs = known_->programs[channel];
  size_t last = pass(programs, state.num_programs, tick);
  if (last == state.num_programs) return;
  state.num_programs = last;
  while (last > 0 && programs[last - 1].track == track_) --last;  // its own ones of this tick, which come later
  if (last == 0) return;
  voices_[channel].program = programs[last - 1].program;
  state.bank = bank_of(programs[last - 1].bank_number);
  decide(channel);
}

void ChannelVoices::change_program(size_t channel, uint8_t program, int32_t tick, bool is_used) {
  Channel& state = channels_[channel];
  if (is_used) note_waiting(channel);
  if (knows_changes()) follow(channel, tick);
  if (state.bank_number >= 126) found_.has_xg_kits = true;
  state.has_program = true;
  state.bank = bank_of(state.bank_number);
  voices_[channel].program = program;
  decide(channel);
  if (!knows_changes()) found_.programs[channel].push_back({tick, track_, program, state.bank_number});
}

void ChannelVoices::read_exclusive(const uint8_t* body, int64_t len, int32_t tick) {
  if (knows_changes()) return;
  if (len > 0 && body[0] == 0xf0) ++body, --len;
  if (len > 0 && body[len - 1] == 0xf7) --len;
  if (len == 9 && body[0] == 0x41 && body[2] == 0x42 && body[3] == 0x12 && body[4] == 0x40) {  // Roland GS
    if (body[5] == 0x00 && body[6] == 0x7f && body[7] == 0x00) found_.has_gs_reset = true;
    if ((body[5] & 0xf0) == 0x10 && body[6] == 0x15) {
      const size_t part = body[5] & 0x0f;  // 0 is channel 10, 1 to 9 those up to 9, then 11 to 16
      const size_t channel = part == 0 ? kDrumChannel : part <= 9 ? part - 1 : part;
      found_.parts[channel].push_back({tick, body[7] != 0});
    }
  }
  if (len == 7 && body[0] == 0x43 && (body[1] & 0xf0) == 0x10 && body[2] == 0x4c) {  // Yamaha XG
    if (body[3] == 0x00 && body[4] == 0x00 && body[5] == 0x7e) found_.has_xg_reset = true;
    if (body[3] == 0x08 && body[4] < 16 && body[5] == 0x07) found_.parts[body[4]].push_back({tick, body[6] != 0});
  }
}

Bank ChannelVoices::bank_of(uint8_t number) const {
  if (number == 120) return Bank::kDrums;
  if (number == 121) return Bank::kMelodic;
  return number >= 126 && !(knows_changes() && known_->is_gs()) ? Bank::kDrums : Bank::kOfPart;
}

void ChannelVoices::decide(size_t channel) {
  const Channel& state = channels_[channel];
  voices_[channel].is_drum = state.bank == Bank::kOfPart ? state.is_drum_part : state.bank == Bank::kDrums;
}

void ChannelVoices::note_waiting(size_t channel) {
  int32_t& track = found_.waiting[channel];
  if (channels_[channel].has_program || track == track_) return;
  track = track == VoiceChanges::kNone ? track_ : VoiceChanges::kSeveral;
}

}  // namespace amt::midi
