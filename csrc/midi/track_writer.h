// The bytes of one MIDI track.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace amt::midi {

[[noreturn]] inline void refuse(const std::string& what) { throw std::invalid_argument("cannot write MIDI: " + what); }

struct ChannelEvent {
  int32_t tick;
  int status;
  uint8_t first, second;
};

// One track chunk at the end of a string. Events come in order of ticks; running status is used.
class TrackWriter {
 public:
  static constexpr size_t kMaxChannelEventSize = 4 + 3;
  static constexpr size_t kMaxMetaEventSize = 4 + 3 + 4;
  static constexpr size_t kMaxTextSize = 127;
  static constexpr size_t kMaxTextEventSize = 4 + 3 + kMaxTextSize;

  TrackWriter(std::string& file, size_t num_events, size_t event_size) : file_(file), start_(file.size()) {
    file_.resize(start_ + 8 + num_events * event_size + kMaxFillerSize);
    next_ = reinterpret_cast<uint8_t*>(file_.data()) + start_ + 8;
  }

  // Writes `num_events` events, event_at(0) and so on. All at once, so that the place to write to stays in a register.
  template <typename EventAt>
  void channel_events(size_t num_events, EventAt event_at) {
    uint8_t* next = next_;
    int32_t tick = tick_;
    int status = status_;
    for (size_t i = 0; i < num_events; ++i) {
      const ChannelEvent event = event_at(i);
      next = wait(next, event.tick - tick, status);
      tick = event.tick;
      if (event.status != status) *next++ = static_cast<uint8_t>(event.status);
      status = event.status;
      next[0] = event.first;
      next[1] = event.second;
      next += 2;
    }
    next_ = next;
    tick_ = tick;
    status_ = status;
  }

  void program_change(int channel, uint8_t program) {
    wait_until(0);
    status_ = 0xc0 | channel;
    *next_++ = static_cast<uint8_t>(status_);
    *next_++ = program;
  }

  void meta(int32_t tick, uint8_t type, std::initializer_list<int> body) {
    wait_until(tick);
    *next_++ = 0xff;
    *next_++ = type;
    *next_++ = static_cast<uint8_t>(body.size());
    for (const int byte : body) *next_++ = static_cast<uint8_t>(byte);
    status_ = 0;
  }

  // At most kMaxTextSize bytes.
  void meta(int32_t tick, uint8_t type, std::string_view text) {
    wait_until(tick);
    *next_++ = 0xff;
    *next_++ = type;
    *next_++ = static_cast<uint8_t>(text.size());
    next_ = std::copy(text.begin(), text.end(), next_);
    status_ = 0;
  }

  void finish(int32_t end_ticks) {
    meta(std::max(end_ticks, tick_), 0x2f, {});
    uint8_t* const bytes = reinterpret_cast<uint8_t*>(file_.data());
    const size_t end = static_cast<size_t>(next_ - bytes);
    const size_t len = end - start_ - 8;
    if (len > UINT32_MAX) refuse("a track of more than 4 GB");
    std::copy_n("MTrk", 4, bytes + start_);
    for (size_t i = 0; i < 4; ++i) bytes[start_ + 4 + i] = static_cast<uint8_t>(len >> (24 - 8 * i));
    file_.resize(end);
  }

 private:
  static constexpr int32_t kMaxVarLen = (1 << 28) - 1;
  static constexpr size_t kMaxFillerSize = 9 * 7 + 1;  // eight waits of kMaxVarLen, the end, a byte that var_len spoils

  void wait_until(int32_t tick) {
    next_ = wait(next_, tick - tick_, status_);
    tick_ = tick;
  }

  // Writes a delta time. What four bytes cannot say is split by empty text events.
  static uint8_t* wait(uint8_t* next, int32_t delta, int& status) {
    if (delta < 1 << 14) {
      const bool is_long = delta >= 1 << 7;  // half of the time, in no order: no branch
      next[0] = static_cast<uint8_t>(is_long ? 0x80 | delta >> 7 : delta);
      next[1] = delta & 0x7f;
      return next + 1 + is_long;
    }
    for (; delta > kMaxVarLen; delta -= kMaxVarLen) {
      next = var_len(next, kMaxVarLen);
      *next++ = 0xff;
      *next++ = 0x01;
      *next++ = 0x00;
      status = 0;
    }
    return var_len(next, delta);
  }

  static uint8_t* var_len(uint8_t* next, int32_t value) {
    for (int shift = 21; shift > 0; shift -= 7) {
      if (value >> shift != 0) *next++ = static_cast<uint8_t>(0x80 | value >> shift);
    }
    *next++ = value & 0x7f;
    return next;
  }

  std::string& file_;
  size_t start_;
  uint8_t* next_;
  int32_t tick_ = 0;
  int status_ = 0;
};

}  // namespace amt::midi
