// Its twin is amt/midi/reference/smf_writer.py.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "arena.h"
#include "bucket_sort.h"
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

  uint64_t place() const { return static_cast<uint64_t>(start_ticks) << 8 | key; }
  // The bytes of a file depend on this order alone, not on that of the input.
  bool operator<(const Span& other) const {
    if (place() != other.place()) return place() < other.place();
    return end_ticks != other.end_ticks ? end_ticks < other.end_ticks : velocity < other.velocity;
  }
};

// Tempo, time and key signatures, the plan, and the end of the piece.
void write_conductor_track(const MidiData& data, std::string& file) {
  enum Kind : uint64_t { kTimeSignature, kKeySignature, kTempo, kMarker };
  std::vector<std::pair<uint64_t, uint32_t>> order;  // (tick and kind, index)
  const auto add_all = [&order](const auto& events, Kind kind) {
    for (size_t i = 0; i < events.size(); ++i) {
      if (events[i].tick < 0) refuse("an event at tick " + std::to_string(events[i].tick));
      order.push_back({static_cast<uint64_t>(events[i].tick) << 2 | kind, static_cast<uint32_t>(i)});
    }
  };
  add_all(data.time_signatures, kTimeSignature);
  add_all(data.key_signatures, kKeySignature);
  add_all(data.tempos, kTempo);
  int64_t half_bar = 0;
  const TimeSignature metre = first_metre(data);
  for (size_t i = 0; i < data.plan.size(); ++i) {
    const int32_t tick =
        half_bar_tick(half_bar, metre.numerator, metre.denominator, data.ticks_per_beat, data.end_ticks);
    order.push_back({static_cast<uint64_t>(tick) << 2 | kMarker, static_cast<uint32_t>(i)});
    half_bar += data.plan[i].half_bars;
  }
  std::sort(order.begin(), order.end());
  const bool has_texts = !data.plan.empty();
  TrackWriter track(file, order.size(), has_texts ? TrackWriter::kMaxTextEventSize : TrackWriter::kMaxMetaEventSize);
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
    } else if ((key & 3) == kMarker) {
      track.meta(tick, 0x06, marker_text(data.plan[index]));
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
  Span* spans = nullptr;
  std::array<size_t, kNumPrograms + 1> starts{};
};

SpansByProgram group_spans(const MidiData& data, Arena& arena) {
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
  groups.spans = arena.allocate<Span>(groups.starts.back());
  std::array<size_t, kNumPrograms + 1> next = groups.starts;
  for (const PedalSpan& pedal : data.pedals) {
    groups.spans[next[program_key(pedal.program, pedal.is_drum)]++] = {pedal.start_ticks, pedal.end_ticks, kPedalKey,
                                                                       127};
  }
  for (const Note& note : data.notes) {
    Span& span = groups.spans[next[program_key(note.program, note.is_drum)]++];
    span.start_ticks = note.start_ticks;
    span.end_ticks = note.end_ticks;
    span.key = static_cast<uint8_t>(note.pitch + 1);
    span.velocity = note.velocity;
  }
  return groups;
}

// Sorts one program's spans; the result is in one of the two arrays.
Span* sort_spans(Span* spans, size_t num_spans, Arena& arena) {
  if (std::is_sorted(spans, spans + num_spans)) return spans;
  Span* const sorted =
      bucket_sort(spans, num_spans, arena.allocate<Span>(num_spans), [](const Span& span) { return span.place(); });
  Span* const end = sorted + num_spans;
  for (Span* first = sorted; first != end;) {
    Span* last = first + 1;
    while (last != end && last->place() == first->place()) ++last;
    if (last - first > 1) std::sort(first, last);
    first = last;
  }
  return sorted;
}

// Keeps the spans that one track can hold, so that every reader finds their ends again, and moves the others to `rest`.
// Returns how many are left. Spans of one key must not overlap, except for notes that end together: some readers end
// all notes of a pitch at its first note-off. The last layer takes notes that end in the order in which they start,
// which is enough for the others.
size_t take_layer(Span* spans, size_t num_spans, std::vector<Span>& rest, bool is_last_layer) {
  std::array<int32_t, 129> busy_until{};
  rest.clear();
  size_t num_taken = 0;
  for (size_t i = 0; i < num_spans; ++i) {
    const Span span = spans[i];
    int32_t& end = busy_until[span.key];
    const bool fits = span.start_ticks >= end ||
                      (span.key != kPedalKey && (span.end_ticks == end || (is_last_layer && span.end_ticks > end)));
    if (!fits) {
      rest.push_back(span);
      continue;
    }
    end = span.end_ticks;
    spans[num_taken++] = span;
  }
  return num_taken;
}

// Starts and ends of spans as numbers in the order of their events. From the highest bit: tick (31 bits), phase (2),
// index of the span (30), whether it is the end. An empty span is not torn apart.
enum Phase : uint64_t { kNoteEnds, kPedalEnds, kStarts };

uint64_t make_event(int32_t tick, Phase phase, size_t index, bool is_end) {
  return static_cast<uint64_t>(tick) << 33 | phase << 31 | uint64_t{index} << 1 | uint64_t{is_end};
}

void write_layer(const Span* spans, size_t num_spans, int channel, uint8_t program, Arena& arena, std::string& file) {
  if (num_spans > size_t{1} << 30) refuse("more than 2^30 notes in one track");
  const size_t num_events = 2 * num_spans;
  uint64_t* const unsorted = arena.allocate<uint64_t>(num_events);
  for (size_t i = 0; i < num_spans; ++i) {
    const Span& span = spans[i];
    const Phase phase = span.end_ticks == span.start_ticks ? kStarts : span.key == kPedalKey ? kPedalEnds : kNoteEnds;
    unsorted[2 * i] = make_event(span.start_ticks, kStarts, i, false);
    unsorted[2 * i + 1] = make_event(span.end_ticks, phase, i, true);
  }
  const uint64_t* const events =
      bucket_sort(unsorted, num_events, arena.allocate<uint64_t>(num_events), [](uint64_t event) { return event; });
  TrackWriter track(file, num_events + 1, TrackWriter::kMaxChannelEventSize);
  track.program_change(channel, program);
  track.channel_events(num_events, [events, channel, spans](size_t i) {
    const Span& span = spans[events[i] >> 1 & 0x3fffffff];
    const bool is_pedal = span.key == kPedalKey;
    return ChannelEvent{static_cast<int32_t>(events[i] >> 33), (is_pedal ? 0xb0 : 0x90) | channel,
                        is_pedal ? kPedalController : static_cast<uint8_t>(span.key - 1),
                        (events[i] & 1) != 0 ? uint8_t{0} : span.velocity};
  });
  track.finish(0);
}

}  // namespace

std::string write_smf(const MidiData& data) {
  if (data.ticks_per_beat < 1 || data.ticks_per_beat > 0x7fff) {
    refuse(std::to_string(data.ticks_per_beat) + " ticks per beat; a file has 1 to 32767");
  }
  const size_t num_spans = data.notes.size() + data.pedals.size();
  Arena arena(num_spans * (2 * sizeof(Span) + 4 * sizeof(uint64_t)) + 64);
  const SpansByProgram groups = group_spans(data, arena);
  std::string file(14, '\0');
  file.reserve(data.notes.size() * 8 + 256);
  write_conductor_track(data, file);
  size_t num_tracks = 1;
  int num_melodic = 0;
  std::vector<Span> layer;
  std::vector<Span> rest;
  for (size_t key = 0; key < kNumPrograms; ++key) {
    size_t num_left = groups.starts[key + 1] - groups.starts[key];
    if (num_left == 0) continue;
    Span* spans = sort_spans(groups.spans + groups.starts[key], num_left, arena);
    const bool is_drum = key >= 128;
    int channel = kDrumChannel;
    if (!is_drum) {
      channel = num_melodic++ % 15;
      if (channel >= kDrumChannel) ++channel;
    }
    for (int num_layers = 1; num_left > 0; ++num_layers) {
      if (num_layers > kMaxLayers) {
        refuse("more than " + std::to_string(kMaxLayers) + " spans of one key and program overlap at tick " +
               std::to_string(spans[0].start_ticks));
      }
      const size_t num_taken = take_layer(spans, num_left, rest, num_layers == kMaxLayers);
      write_layer(spans, num_taken, channel, static_cast<uint8_t>(key & 0x7f), arena, file);
      layer.swap(rest);
      spans = layer.data();
      num_left = layer.size();
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
