// Its twin is amt/midi/reference/smf_reader.py.
#include <algorithm>
#include <string>
#include <utility>

#include "byte_reader.h"
#include "repair_log.h"
#include "smf.h"
#include "track_reader.h"

namespace amt::midi {
namespace {

constexpr size_t kMaxFileSize = INT32_MAX;  // so that a note's index fits its link
constexpr int32_t kFallbackTicksPerBeat = 480;
constexpr Tempo kDefaultTempo{0, 500000};
constexpr TimeSignature kDefaultTimeSignature{0, 4, 4};

// The SMF inside a RIFF file of type RMID; without that wrapper, all bytes.
std::pair<const uint8_t*, const uint8_t*> unwrap_riff(const uint8_t* begin, const uint8_t* end, RepairLog& repairs) {
  if (!has_name(begin, end, "RIFF") || end - begin < 12 || !has_name(begin + 8, end, "RMID")) return {begin, end};
  const uint8_t* chunk = begin + 12;
  while (end - chunk >= 8) {
    int64_t len = read_u32_little(chunk + 4);
    const bool is_data = has_name(chunk, end, "data");
    chunk += 8;
    if (is_data) {
      if (len > end - chunk) {
        repairs.add(chunk - 4, "the RIFF data chunk is longer than the file");
        len = end - chunk;
      }
      return {chunk, chunk + len};
    }
    len += len & 1;
    if (len > end - chunk) break;
    chunk += len;
  }
  throw MidiError(chunk - begin, "a RIFF file of type RMID without a data chunk");
}

// Whether a chunk, or nothing, starts here: what stands after a track whose length is right.
bool is_chunk_start(const uint8_t* place, const uint8_t* end) {
  if (place == end || has_name(place, end, "MTrk")) return true;
  if (end - place < 8 || int64_t{read_u32(place + 4)} > end - place - 8) return false;
  return std::all_of(place, place + 4, [](uint8_t c) { return c >= 0x20 && c < 0x7f; });
}

struct Header {
  int32_t format;
  int32_t num_tracks;
  bool is_smpte;
  const uint8_t* next;
};

Header read_header(const uint8_t* begin, const uint8_t* end, RepairLog& repairs, const uint8_t* file, MidiData& data) {
  if (!has_name(begin, end, "MThd")) throw MidiError(begin - file, "not a MIDI file: it does not start with MThd");
  if (end - begin < 14) throw MidiError(end - file, "the file ends inside its header");
  Header header{static_cast<int32_t>(read_u16(begin + 8)), static_cast<int32_t>(read_u16(begin + 10)), false,
                begin + 14};
  const int64_t len = read_u32(begin + 4);
  if (len > 6 && len <= end - begin - 8 && is_chunk_start(begin + 8 + len, end)) {
    header.next = begin + 8 + len;
  } else if (len != 6) {
    repairs.add(begin + 4, "a header length of " + std::to_string(len) + "; read as 6");
  }
  if (header.format > 2) {
    repairs.add(begin + 8, "unknown format " + std::to_string(header.format) + "; read as 1");
    header.format = 1;
  }
  const uint32_t division = read_u16(begin + 12);
  if (division < 0x8000) {
    data.ticks_per_beat = static_cast<int32_t>(division);
  } else {
    const int32_t frames_per_second = 256 - static_cast<int32_t>(division >> 8);
    const bool is_drop_frame = frames_per_second == 29;
    if (frames_per_second != 24 && frames_per_second != 25 && frames_per_second != 29 && frames_per_second != 30) {
      repairs.add(begin + 12, "unusual SMPTE rate of " + std::to_string(frames_per_second) + " frames a second");
    }
    header.is_smpte = true;
    data.ticks_per_beat = (is_drop_frame ? 30 : frames_per_second) * static_cast<int32_t>(division & 0xff);
    data.tempos.push_back({0, is_drop_frame ? 1001000 : 1000000});
  }
  if (data.ticks_per_beat == 0) {
    repairs.add(begin + 12, "no ticks per beat; read as " + std::to_string(kFallbackTicksPerBeat));
    data.ticks_per_beat = kFallbackTicksPerBeat;
  }
  data.format = header.format;
  return header;
}

// Sorts by tick and keeps the last of equal ticks.
template <typename Event>
void make_map(std::vector<Event>& events) {
  const auto is_earlier = [](const Event& a, const Event& b) { return a.tick < b.tick; };
  if (!std::is_sorted(events.begin(), events.end(), is_earlier)) {
    std::stable_sort(events.begin(), events.end(), is_earlier);
  }
  size_t size = 0;
  for (const Event& event : events) {
    if (size > 0 && events[size - 1].tick == event.tick) --size;
    events[size++] = event;
  }
  events.resize(size);
}

// The plan that the markers say; none if one of them is not where the plan has it.
Plan plan_of(const std::vector<Marker>& markers, const MidiData& data) {
  Plan plan;
  const TimeSignature metre = first_metre(data);
  int half_bar = 0;
  for (const Marker& marker : markers) {
    const int32_t tick =
        half_bar_tick(half_bar, metre.numerator, metre.denominator, data.ticks_per_beat, data.end_ticks);
    if (marker.tick != tick || (plan.empty() && marker.chord.section == PlanChord::kSameSection)) return {};
    append(plan, marker.chord);
    half_bar += marker.chord.half_bars;
    if (half_bar > kMaxPlanHalfBars) return {};
  }
  return plan;
}

// One reading of a file: `known` is what an earlier one found of its channels.
MidiData read_once(const uint8_t* bytes, size_t size, bool strict, VoiceChanges& found, const VoiceChanges* known) {
  MidiData data;
  RepairLog repairs(bytes, strict);
  const auto [begin, end] = unwrap_riff(bytes, bytes + size, repairs);
  const Header header = read_header(begin, end, repairs, bytes, data);
  data.notes.reserve(static_cast<size_t>(end - begin) / 7 + 16);
  TrackReader track_reader(data, repairs, !header.is_smpte, ChannelVoices(found, known));
  const uint8_t* next = header.next;
  int64_t start_tick = 0;
  int64_t end_tick = 0;
  int64_t num_tracks = 0;
  while (next < end) {
    if (!has_name(next, end, "MTrk") || end - next < 8) {
      if (is_chunk_start(next, end) && end - next >= 8) {  // a kind of chunk that nobody knows
        next += 8 + int64_t{read_u32(next + 4)};
        continue;
      }
      const uint8_t* track = find_name(next + 1, end, "MTrk");
      repairs.add(next, std::to_string(track - next) + " bytes that are no chunk; ignored");
      next = track;
      continue;
    }
    const uint8_t* chunk = next;
    const uint8_t* body = chunk + 8;
    const int64_t len = read_u32(chunk + 4);
    const uint8_t* limit = len <= end - body ? body + len : nullptr;
    const bool is_length_sound = limit != nullptr && is_chunk_start(limit, end);
    if (!is_length_sound) limit = find_name(body, end, "MTrk");
    if (header.format == 2 && num_tracks > 0) {
      start_tick = end_tick;
      if (!data.tempos.empty() && !header.is_smpte) {
        data.tempos.push_back({static_cast<int32_t>(start_tick), kDefaultTempo.us_per_beat});
      }
      if (!data.time_signatures.empty()) {
        data.time_signatures.push_back(
            {static_cast<int32_t>(start_tick), kDefaultTimeSignature.numerator, kDefaultTimeSignature.denominator});
      }
    }
    const TrackEnd track_end = track_reader.read(body, limit, start_tick);
    repairs.end_track();
    end_tick = std::max(end_tick, track_end.tick);
    ++num_tracks;
    next = is_length_sound ? limit : track_end.next;
    if (track_end.next - body == len) continue;
    if (is_length_sound && has_name(track_end.next, end, "MTrk")) next = track_end.next;
    repairs.add(chunk + 4,
                "the track is " + std::to_string(track_end.next - body) + " bytes long, not " + std::to_string(len));
  }
  if (num_tracks == 0) throw MidiError(end - bytes, "no track in the file");
  if (num_tracks != header.num_tracks) {
    repairs.add(begin + 10, std::to_string(num_tracks) + " tracks in the file, " + std::to_string(header.num_tracks) +
                                " in its header");
  }
  if (header.format == 0 && num_tracks > 1) {
    repairs.add(begin + 8, "format 0 with more than one track; read as format 1");
  }
  data.end_ticks = static_cast<int32_t>(end_tick);
  make_map(data.tempos);
  make_map(data.time_signatures);
  make_map(data.key_signatures);
  data.plan = plan_of(track_reader.markers(), data);
  data.repairs = repairs.take();
  return data;
}

}  // namespace

TimeSignature first_metre(const MidiData& data) {
  for (const TimeSignature& signature : data.time_signatures) {
    if (signature.tick == 0) return signature;
  }
  return kDefaultTimeSignature;
}

MidiData read_smf(const uint8_t* bytes, size_t size, bool strict) {
  if (size > kMaxFileSize) throw MidiError(0, "the file is larger than 2 GB");
  VoiceChanges found;
  MidiData data = read_once(bytes, size, strict, found, nullptr);
  if (data.format == 2) found.programs = {};  // each track is a piece of its own
  if (!found.are_needed()) return data;
  found.sort();
  data = MidiData();  // its memory, before it is taken again
  VoiceChanges ignored;
  return read_once(bytes, size, strict, ignored, &found);
}

}  // namespace amt::midi
