// Its twin is amt/midi/plan.py.
#include "plan.h"

#include <algorithm>
#include <array>

#include "vocabulary.h"

namespace amt::midi {
namespace {

constexpr std::array<const char*, kNumSections> kSectionNames = {"intro", "verse", "pre-chorus", "chorus", "bridge",
                                                                 "solo",  "break", "build",      "drop",   "outro",
                                                                 "A",     "B",     "C",          "D",      "other"};
constexpr std::array<const char*, 12> kRoots = {"C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"};
constexpr std::array<const char*, 8> kSuffixes = {"", "m", "dim", "aug", "7", "maj7", "m7", "sus4"};
constexpr std::string_view kEnd = " half bars)";
constexpr int kOther = kNumSections - 1;

std::string chord_name(int chord) {
  if (chord == 0) return "N.C.";
  return std::string(kRoots[static_cast<size_t>((chord - 1) / 8)]) + kSuffixes[static_cast<size_t>((chord - 1) % 8)];
}

}  // namespace

void append(Plan& plan, PlanChord chord) {
  if (plan.empty() && chord.section == PlanChord::kSameSection) chord.section = kOther;
  if (chord.section == PlanChord::kSameSection && plan.back().chord == chord.chord) {
    const int more = std::min(kMaxHalfBars - plan.back().half_bars, chord.half_bars);
    plan.back().half_bars += more;
    chord.half_bars -= more;
  }
  if (chord.half_bars > 0) plan.push_back(chord);
}

int32_t half_bar_tick(int64_t half_bar, int numerator, int64_t denominator, int ticks_per_beat, int32_t last_tick) {
  const int64_t tick = half_bar * 2 * ticks_per_beat * numerator / denominator;
  return static_cast<int32_t>(std::min<int64_t>(tick, last_tick));
}

std::string marker_text(const PlanChord& chord) {
  std::string text;
  if (chord.section != PlanChord::kSameSection) {
    text = std::string(kSectionNames[static_cast<size_t>(chord.section)]) + ": ";
  }
  return text + chord_name(chord.chord) + " (" + std::to_string(chord.half_bars) + std::string(kEnd);
}

std::optional<PlanChord> parse_marker(std::string_view text) {
  PlanChord found;
  if (const size_t colon = text.find(": "); colon != std::string_view::npos) {
    const auto name = std::find(kSectionNames.begin(), kSectionNames.end(), text.substr(0, colon));
    if (name == kSectionNames.end()) return {};
    found.section = static_cast<int>(name - kSectionNames.begin());
    text.remove_prefix(colon + 2);
  }
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return {};
  const std::string_view chord = text.substr(0, space);
  while (found.chord < kNumChords && chord_name(found.chord) != chord) ++found.chord;
  if (found.chord == kNumChords) return {};
  text.remove_prefix(space + 1);
  if (text.size() < kEnd.size() + 2 || text.size() > kEnd.size() + 3 || text[0] != '(') return {};
  if (text.substr(text.size() - kEnd.size()) != kEnd) return {};
  const std::string_view number = text.substr(1, text.size() - kEnd.size() - 1);
  found.half_bars = 0;
  for (const char digit : number) {
    if (digit < '0' || digit > '9') return {};
    found.half_bars = 10 * found.half_bars + (digit - '0');
  }
  if (number[0] == '0' || found.half_bars < 1 || found.half_bars > kMaxHalfBars) return {};
  return found;
}

}  // namespace amt::midi
