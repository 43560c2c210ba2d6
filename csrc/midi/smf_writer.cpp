#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "radix_sort.h"
#include "smf.h"
#include "track_writer.h"

namespace amt::midi {
namespace {

constexpr int kNumPrograms = 256;  // 128 melodic, 128 drum kits
constexpr int kMaxLayers = 255;    // kNumPrograms * kMaxLayers + 1 tracks are still at most 65535
constexpr int kDrumChannel = 9;
constexpr int kPedalKey = 0;  // stands before the notes of its tick
constexpr uint8_t kPedalController = 64;

// A note or a pedal span on its way into a track. The key is 0 for the pedal and pitch + 1 for a note.
struct Span {
  int32_t start_ticks;
  int32_t end_ticks;
  uint8_t key;
  uint8_t velocity;

  // At equal starts.
  bool operator<(const Span& other) const {
    if (key != other.key) return key < other.key;
    return end_ticks != other.end_ticks ? end_ticks < other.end_ticks : velocity < other.velocity;
  }
};

// Tempo, time and key signatures, and the end of the piece.
void write_conductor_track(const MidiData& data, std::string& file) {
  enum Kind : uint64_t { kTimeSignature, kKeySignature, kTempo };
  std::vector<Keyed> order;
  const auto add_all = [&order](const auto& events, Kind kind) {
    for (size_t i = 0; i < events.size(); ++i) {
      if (events[i].tick < 0) refuse("an event at tick " + std::to_string(events[i].tick));
      order.push_back({static_cast<uint64_t>(events[i].tick) << 2 | kind, static_cast<uint32_t>(i)});
    }
  };
  add_all(data.time_signatures, kTimeSignature);
  add_all(data.key_signatures, kKeySignature);
  add_all(data.tempos, kTempo);
  sort_by_key(order);
  TrackWriter track(file, order.size(), TrackWriter::kMaxMetaEventSize);
  for (const auto& [key, index] : order) {
    const int32_t tick = static_cast<int32_t>(key >> 2);
    if ((key & 3) == kTimeSignature) {
      const TimeSignature& signature = data.time_signatures[index];
      int power = 0;
      while (power < 30 && int32_t{1} << power < signature.denominator) ++power;
      if (signature.numerator == 0 || int32_t{1} << power != signature.denominator) {
        refuse("the time signature " + std::to_string(signature.numerator) + "/" +
               std::to_string(signature.denominator));
      }
      track.meta(tick, 0x58, {signature.numerator, power, 24, 8});
    } else if ((key & 3) == kKeySignature) {
      const KeySignature& signature = data.key_signatures[index];
      if (signature.sharps < -7 || signature.sharps > 7) {
        refuse("a key signature of " + std::to_string(signature.sharps) + " sharps");
      }
      track.meta(tick, 0x59, {signature.sharps, signature.is_minor});
    } else {
      const int32_t us_per_beat = data.tempos[index].us_per_beat;
      if (us_per_beat < 1 || us_per_beat > 0xffffff) {
        refuse("a tempo of " + std::to_string(us_per_beat) + " us a beat");
      }
      track.meta(tick, 0x51, {us_per_beat >> 16, us_per_beat >> 8 & 0xff, us_per_beat & 0xff});
    }
  }
  track.finish(data.end_ticks);
}

// The place of a program's spans among all; drum kits last.
size_t program_key(uint8_t program, bool is_drum) { return size_t{is_drum} << 7 | program; }

void check_note(const Note& note, size_t index) {
  if (note.start_ticks >= 0 && note.end_ticks >= note.start_ticks && note.program < 128 && note.pitch < 128 &&
      note.velocity > 0 && note.velocity < 128) {
    return;
  }
  refuse("note " + std::to_string(index) + " from tick " + std::to_string(note.start_ticks) + " to " +
         std::to_string(note.end_ticks) + " with pitch " + std::to_string(note.pitch) + ", velocity " +
         std::to_string(note.velocity) + ", program " + std::to_string(note.program));
}

void check_pedal(const PedalSpan& pedal, size_t index) {
  if (pedal.start_ticks >= 0 && pedal.end_ticks >= pedal.start_ticks && pedal.program < 128) return;
  refuse("pedal " + std::to_string(index) + " from tick " + std::to_string(pedal.start_ticks) + " to " +
         std::to_string(pedal.end_ticks) + " with program " + std::to_string(pedal.program));
}

// All notes and pedals by program; those of program key k stand from starts[k] to starts[k + 1].
struct SpansByProgram {
  std::vector<Span> spans;
  std::array<size_t, kNumPrograms + 1> starts{};
};

SpansByProgram group_spans(const MidiData& data) {
  SpansByProgram groups;
  for (size_t i = 0; i < data.notes.size(); ++i) {
    check_note(data.notes[i], i);
    ++groups.starts[program_key(data.notes[i].program, data.notes[i].is_drum) + 1];
  }
  for (size_t i = 0; i < data.pedals.size(); ++i) {
    check_pedal(data.pedals[i], i);
    ++groups.starts[program_key(data.pedals[i].program, data.pedals[i].is_drum) + 1];
  }
  for (size_t i = 0; i < kNumPrograms; ++i) groups.starts[i + 1] += groups.starts[i];
  groups.spans.resize(groups.starts.back());
  std::array<size_t, kNumPrograms + 1> next = groups.starts;
  for (const PedalSpan& pedal : data.pedals) {
    groups.spans[next[program_key(pedal.program, pedal.is_drum)]++] = {pedal.start_ticks, pedal.end_ticks, kPedalKey,
                                                                       127};
  }
  for (const Note& note : data.notes) {
    groups.spans[next[program_key(note.program, note.is_drum)]++] = {
        note.start_ticks, note.end_ticks, static_cast<uint8_t>(note.pitch + 1), note.velocity};
  }
  return groups;
}

// Copies one program's spans to `sorted`, by start, key, end and velocity: the bytes do not depend on the input's
// order.
void sort_spans(const Span* spans, size_t num_spans, std::vector<Keyed>& order, std::vector<Span>& sorted) {
  order.resize(num_spans);
  for (size_t i = 0; i < num_spans; ++i) {
    order[i] = {static_cast<uint64_t>(spans[i].start_ticks), static_cast<uint32_t>(i)};
  }
  sort_by_key(order);
  sorted.resize(num_spans);
  for (size_t i = 0; i < num_spans; ++i) sorted[i] = spans[order[i].payload];
  for (auto first = sorted.begin(); first != sorted.end();) {
    auto last = first + 1;
    while (last != sorted.end() && last->start_ticks == first->start_ticks) ++last;
    if (last - first > 1) std::sort(first, last);
    first = last;
  }
}

// Moves the spans that one track can hold, so that every reader finds their ends again, from `spans` to `layer`.
// Spans of one key must not overlap, except for notes that end together: some readers end all notes of a pitch at its
// first note-off. The last layer takes notes that end in the order in which they start, which is enough for the others.
void take_layer(std::vector<Span>& spans, std::vector<Span>& layer, bool is_last_layer) {
  std::array<int32_t, 129> busy_until{};
  layer.clear();
  size_t num_left = 0;
  for (const Span& span : spans) {
    int32_t& end = busy_until[span.key];
    const bool fits = span.start_ticks >= end ||
                      (span.key != kPedalKey && (span.end_ticks == end || (is_last_layer && span.end_ticks > end)));
    if (!fits) {
      spans[num_left++] = span;
      continue;
    }
    end = span.end_ticks;
    layer.push_back(span);
  }
  spans.resize(num_left);
}

// At equal ticks: ends of notes, ends of pedals, starts of pedals, starts of notes; an empty span is not torn apart.
void write_layer(const std::vector<Span>& layer, int channel, uint8_t program, std::vector<Keyed>& ends,
                 std::string& file) {
  ends.clear();
  for (const Span& span : layer) {
    if (span.end_ticks == span.start_ticks) continue;
    ends.push_back({static_cast<uint64_t>(span.end_ticks) << 1 | (span.key == kPedalKey), span.key});
  }
  sort_by_key(ends);
  TrackWriter track(file, 2 * layer.size() + 1, TrackWriter::kMaxChannelEventSize);
  track.program_change(channel, program);
  const auto write_event = [&track, channel](int32_t tick, uint32_t key, uint8_t velocity) {
    if (key == kPedalKey) {
      track.channel_event(tick, 0xb0 | channel, kPedalController, velocity);
    } else {
      track.channel_event(tick, 0x90 | channel, static_cast<uint8_t>(key - 1), velocity);
    }
  };
  auto end = ends.cbegin();
  const auto write_ends = [&](int32_t last_tick) {
    for (; end != ends.cend() && static_cast<int32_t>(end->key >> 1) <= last_tick; ++end) {
      write_event(static_cast<int32_t>(end->key >> 1), end->payload, 0);
    }
  };
  for (const Span& span : layer) {
    write_ends(span.start_ticks);
    write_event(span.start_ticks, span.key, span.velocity);
    if (span.end_ticks == span.start_ticks) write_event(span.end_ticks, span.key, 0);
  }
  write_ends(INT32_MAX);
  track.finish(0);
}

}  // namespace

std::string write_smf(const MidiData& data) {
  if (data.ticks_per_beat < 1 || data.ticks_per_beat > 0x7fff) {
    refuse(std::to_string(data.ticks_per_beat) + " ticks per beat; a file has 1 to 32767");
  }
  const SpansByProgram groups = group_spans(data);
  std::string file(14, '\0');
  file.reserve(data.notes.size() * 8 + 256);
  write_conductor_track(data, file);
  size_t num_tracks = 1;
  int num_melodic = 0;
  std::vector<Span> spans;
  std::vector<Span> layer;
  std::vector<Keyed> order;
  for (size_t key = 0; key < kNumPrograms; ++key) {
    const size_t num_spans = groups.starts[key + 1] - groups.starts[key];
    if (num_spans == 0) continue;
    sort_spans(groups.spans.data() + groups.starts[key], num_spans, order, spans);
    const bool is_drum = key >= 128;
    int channel = kDrumChannel;
    if (!is_drum) {
      channel = num_melodic++ % 15;
      if (channel >= kDrumChannel) ++channel;
    }
    for (int num_layers = 1; !spans.empty(); ++num_layers) {
      if (num_layers > kMaxLayers) {
        refuse("more than " + std::to_string(kMaxLayers) + " spans of one key and program overlap at tick " +
               std::to_string(spans[0].start_ticks));
      }
      take_layer(spans, layer, num_layers == kMaxLayers);
      write_layer(layer, channel, static_cast<uint8_t>(key & 0x7f), order, file);
      ++num_tracks;
    }
  }
  const auto number = [](size_t value) { return std::string{static_cast<char>(value >> 8), static_cast<char>(value)}; };
  const std::string header =
      std::string("MThd\0\0\0\6\0\1", 10) + number(num_tracks) + number(static_cast<size_t>(data.ticks_per_beat));
  file.replace(0, header.size(), header);
  return file;
}

}  // namespace amt::midi
