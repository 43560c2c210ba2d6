// What the reader had to put right, counted and bounded; in strict mode, the error for the first such place.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "notes.h"

namespace amt::midi {

// What can be wrong inside a track: reported once a track and kind, with a count.
enum class Fault {
  kCut,
  kNoEnd,
  kUnclosedNote,
  kUnclosedPedal,
  kNoStatus,
  kStaleStatus,
  kDataByte,
  kLongVarLen,
  kTickLimit,
  kSystemMessage,
  kMetaEvent,
  kCount
};

inline const char* describe(Fault fault) {
  switch (fault) {
    case Fault::kCut:
      return "the track stops in the middle of an event; the event is ignored";
    case Fault::kNoEnd:
      return "the track has no end-of-track event; it ends with its last event";
    case Fault::kUnclosedNote:
      return "a note has no note-off; it ends with the track";
    case Fault::kUnclosedPedal:
      return "the sustain pedal is not released; it is at the end of the track";
    case Fault::kNoStatus:
      return "a data byte without a status byte; ignored";
    case Fault::kStaleStatus:
      return "running status goes on after a meta or system event";
    case Fault::kDataByte:
      return "a data byte above 127; read as 127";
    case Fault::kLongVarLen:
      return "a variable-length quantity of more than four bytes";
    case Fault::kTickLimit:
      return "a time beyond 2147483647 ticks; it stays there";
    case Fault::kSystemMessage:
      return "a system message that a file may not contain; ignored";
    case Fault::kMetaEvent:
      return "a tempo, time or key signature with a wrong length or value; what makes no sense is ignored";
    case Fault::kCount:
      break;
  }
  return "";
}

// Collects repairs; in strict mode the first one throws. A file with more than kMaxRepairs has a last one that counts
// the rest.
class RepairLog {
 public:
  RepairLog(const uint8_t* begin, bool strict) : begin_(begin), strict_(strict) {}

  void add(const uint8_t* place, std::string reason) {
    if (strict_) throw MidiError(place - begin_, reason);
    if (++num_repairs_ <= kMaxRepairs) repairs_.push_back({place - begin_, std::move(reason)});
  }

  void add(const uint8_t* place, Fault fault) {
    if (strict_) throw MidiError(place - begin_, describe(fault));
    Tally& tally = tallies_[static_cast<size_t>(fault)];
    if (tally.count++ == 0) tally.place = place;
    has_tallies_ = true;
  }

  void end_track() {
    if (!has_tallies_) return;
    for (size_t i = 0; i < tallies_.size(); ++i) {
      const Tally& tally = tallies_[i];
      if (tally.count == 0) continue;
      std::string reason = describe(static_cast<Fault>(i));
      if (tally.count > 1) reason += " (" + std::to_string(tally.count) + " times in this track)";
      add(tally.place, std::move(reason));
    }
    tallies_ = {};
    has_tallies_ = false;
  }

  std::vector<Repair> take() {
    if (num_repairs_ > kMaxRepairs) {
      repairs_.push_back({-1, "and " + std::to_string(num_repairs_ - kMaxRepairs) + " repairs more"});
    }
    return std::move(repairs_);
  }

 private:
  static constexpr size_t kMaxRepairs = 256;

  struct Tally {
    int64_t count = 0;
    const uint8_t* place = nullptr;
  };

  const uint8_t* begin_;
  bool strict_;
  bool has_tallies_ = false;
  size_t num_repairs_ = 0;
  std::array<Tally, static_cast<size_t>(Fault::kCount)> tallies_;
  std::vector<Repair> repairs_;
};

}  // namespace amt::midi
