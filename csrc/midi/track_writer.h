// The bytes of one MIDI track.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace amt::midi {

[[noreturn]] inline void refuse(const std::string& what) { throw std::invalid_argument("cannot write MIDI: " + what); }

// One track chunk at the end of a string. Events come in order of ticks; running status is used.
class TrackWriter {
 public:
  static constexpr size_t kMaxChannelEventSize = 4 + 3;
  static constexpr size_t kMaxMetaEventSize = 4 + 3 + 4;

  TrackWriter(std::string& file, size_t num_events, size_t event_size) : file_(file), start_(file.size()) {
    file_.resize(start_ + 8 + num_events * event_size + kMaxFillerSize);
    next_ = reinterpret_cast<uint8_t*>(file_.data()) + start_ + 8;
  }

  void channel_event(int32_t tick, int status, uint8_t first, uint8_t second) {
    wait_until(tick);
    if (status != status_) *next_++ = static_cast<uint8_t>(status);
    status_ = status;
    *next_++ = first;
    *next_++ = second;
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

  // The delta time up to a tick. What four bytes cannot say is split by empty text events.
  void wait_until(int32_t tick) {
    int32_t delta = tick - tick_;
    tick_ = tick;
    for (; delta > kMaxVarLen; delta -= kMaxVarLen) {
      var_len(kMaxVarLen);
      *next_++ = 0xff;
      *next_++ = 0x01;
      *next_++ = 0x00;
      status_ = 0;
    }
    var_len(delta);
  }

  void var_len(int32_t value) {
    if (value >= 1 << 14) {
      if (value >= 1 << 21) *next_++ = static_cast<uint8_t>(0x80 | value >> 21);
      *next_++ = static_cast<uint8_t>(0x80 | value >> 14);
      next_[0] = static_cast<uint8_t>(0x80 | value >> 7);
      next_[1] = value & 0x7f;
      next_ += 2;
      return;
    }
    const bool is_long = value >= 1 << 7;  // half of the time, in no order: no branch
    next_[0] = static_cast<uint8_t>(is_long ? 0x80 | value >> 7 : value);
    next_[1] = value & 0x7f;
    next_ += 1 + is_long;
  }

  std::string& file_;
  size_t start_;
  uint8_t* next_;
  int32_t tick_ = 0;
  int status_ = 0;
};

}  // namespace amt::midi
